"""What a benchmark leaves behind for `compare`, for the goals, and for a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import result
from bench.result import LEAST_ROUNDS, duration, figure, rate, report, rounds_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(result, "FOLDER", tmp_path)
    return tmp_path


def test_a_row_has_the_median_and_the_extremes_of_ours_beside_the_peers_median() -> None:
    row = duration("ADD", [2, 4, 9], [8, 8, 80], "ptp", "ms")
    assert (row.ours, row.min, row.max, row.peer, row.ratio) == (4, 2, 9, 8, 2.0)
    assert rate("put", [2, 4, 9], [8, 8, 80], "BIRD", "/s").ratio == 0.5


def test_what_was_counted_alone_has_no_ratio() -> None:
    row = figure("writes", [0, 0, 3], "")
    assert (row.ours, row.max, row.peer, row.ratio) == (0, 3, None, None)


def test_two_rows_of_one_name_are_refused_as_compare_would_show_only_one() -> None:
    row = duration("ADD", [1], [2], "ptp", "ms")
    with pytest.raises(ValueError, match="several rows are called ADD"):
        report("twice", [row, row], 5)


def test_remarks_stand_beside_the_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report("one", [duration("ADD", [1], [2], "ptp", "ms"), figure("writes", [0], "")], 5, ["measured elsewhere"])
    assert json.loads((folder / "one.json").read_text())["remarks"] == ["measured elsewhere"]
    assert "measured elsewhere" in capsys.readouterr().out
    assert "ADD" in (folder / "one.svg").read_text()


def test_fewer_rounds_than_make_a_figure_are_called_a_trial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report("one", [duration("ADD", [1], [2], "ptp", "ms")], 1)
    assert json.loads((folder / "one.json").read_text())["rounds"] == 1
    assert "a trial" in capsys.readouterr().out


def test_a_report_that_is_interrupted_leaves_the_one_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report("one", [figure("writes", [0], "")], 5)

    def cut_short(path: Path, text: str) -> None:
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "write_text", cut_short)
        report("one", [figure("writes", [1], "")], 5)
    assert json.loads((folder / "one.json").read_text())["rows"][0]["ours"] == 0


def test_a_command_line_says_how_many_rounds_or_nothing() -> None:
    assert rounds_of([]) == LEAST_ROUNDS
    assert rounds_of(["1"]) == 1


@pytest.mark.parametrize("words", [["0"], ["-1"], ["1.5"], ["x"], ["²"], [""], ["1", "2"], ["--help"]])
def test_what_is_no_number_of_rounds_is_refused_in_a_sentence(words: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"how many rounds\? It is one number, from 1 on, and not "):
        rounds_of(words)
