"""Goals beside reports: what falls short is said, and what is missing is not taken for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import check, result
from bench.check import Report, judged, origins, read, table
from bench.goals import GOALS, Goal, at_least, at_most, counted
from bench.result import Row, duration, figure, report
from bench.shortfalls import Shortfall


def report_of(row: Row, rounds: int = 5) -> Report:
    return Report("m", rounds, (row,))


ADD = duration("ADD", [2, 3, 4], [9], "ptp", "ms")


@pytest.mark.parametrize(
    ("goal", "state"),
    [
        (at_least("cni", "ADD", 3), "met"),
        (at_least("cni", "ADD", 3.01), "fell short"),
        (at_most("cni", "ADD", 3), "met"),
        (at_most("cni", "ADD", 2.9), "fell short"),
        (at_least("cni", "DEL", 1), "not measured"),
    ],
)
def test_a_goal_is_a_ratio_to_reach_or_a_figure_not_to_pass(goal: Goal, state: str) -> None:
    assert judged(goal, report_of(ADD)).state == state


def test_a_count_of_none_meets_the_goal_of_none() -> None:
    assert judged(at_most("restart", "writes", 0), report_of(figure("writes", [0, 0], ""))).state == "met"
    assert judged(at_most("restart", "writes", 0), report_of(figure("writes", [0, 0, 1], ""))).state == "fell short"


def test_a_trial_of_few_rounds_is_no_figure() -> None:
    found = judged(at_least("cni", "ADD", 3), report_of(ADD, rounds=1))
    assert (found.state, found.found) == ("not measured", "1 rounds, where 5 make a figure")


@pytest.mark.parametrize(
    ("goal", "reached", "state"),
    [
        (at_least("cni", "ADD", 4), 2.5, "missed as known"),
        (at_least("cni", "ADD", 4), 3.5, "fell short"),
        (at_most("cni", "ADD", 2), 3.5, "missed as known"),
        (at_most("cni", "ADD", 2), 2.5, "fell short"),
        (at_least("cni", "ADD", 3), 2.5, "met"),
    ],
)
def test_a_goal_out_of_reach_is_missed_as_known_unless_it_is_missed_by_more(
    goal: Goal, reached: float, state: str
) -> None:
    assert judged(goal, report_of(ADD), Shortfall("cni", "ADD", reached, "An ADD")).state == state


def test_a_goal_missed_as_known_says_where_it_is_explained() -> None:
    found = judged(at_least("cni", "ADD", 4), report_of(ADD), Shortfall("cni", "ADD", 2.5, "An ADD"))
    assert found.found.endswith("docs/performance.md, An ADD")


def test_what_is_counted_needs_one_run_of_its_test() -> None:
    goal = counted("connections", 1)
    assert judged(goal, report_of(figure("connections", [1], ""), rounds=1)).state == "met"
    assert judged(goal, report_of(figure("connections", [2], ""), rounds=1)).state == "fell short"
    assert judged(goal, None).found == "run pytest tests/kube/test_scale.py"


def test_a_bench_that_has_not_run_is_named_with_its_command() -> None:
    assert judged(at_least("cni", "ADD", 3), None).found == "run make bench B=cni"


def test_the_table_has_a_line_for_each_goal_and_counts_them() -> None:
    goals = [at_least("cni", "ADD", 3), at_least("cni", "ADD", 4), at_most("mesh", "up", 1)]
    reports = {"cni": report_of(ADD)}
    *lines, counted = table([judged(goal, reports.get(goal.bench)) for goal in goals])
    assert [line.split("  ")[0].strip() for line in lines] == ["met", "fell short", "not measured"]
    assert "ratio 3.00: 3 ms (2 to 4), ptp 9" in lines[0]
    assert counted == "1 met, 0 missed as known, 1 fell short, 1 not measured, 0 not counted"


def test_the_check_fails_while_a_single_goal_is_not_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(result, "FOLDER", tmp_path)
    monkeypatch.setattr(check, "GOALS", (at_least("cni", "ADD", 3),))
    assert check.main() == 1
    report("cni", [ADD], 5)
    assert check.main() == 0
    report("cni", [ADD], 4)
    assert check.main() == 1
    assert capsys.readouterr().out.count("1 not measured") == 2


WRITTEN = {"name": "ADD", "ours": 2, "peer": 6, "peer_name": "ptp", "unit": "ms", "ratio": 3}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"name": "cni", "mach',
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        b"{}",
        b'{"machine": "m", "rounds": "5", "rows": []}',
        b'{"machine": "m", "rounds": 5, "rows": [{"name": "ADD"}]}',
    ],
)
def test_a_file_that_is_no_report_is_told_and_counts_as_not_measured(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "cni.json").write_bytes(text)
    found = judged(at_least("cni", "ADD", 3), read(tmp_path / "cni.json"))
    assert found.state == "not measured"
    assert found.found.startswith(f"{tmp_path}/cni.json cannot be read: ")
    assert found.found.endswith("; run make bench B=cni")


def test_a_report_of_another_release_is_judged_by_what_it_has(tmp_path: Path) -> None:
    rows = [{**WRITTEN, "since": "another member"}]
    (tmp_path / "cni.json").write_text(json.dumps({"machine": "m", "rounds": 5, "rows": rows}))
    found = judged(at_least("cni", "ADD", 3), read(tmp_path / "cni.json"))
    assert (found.state, found.found) == ("met", "ratio 3.00: 2 ms, ptp 6")
    (tmp_path / "cni.json").unlink()
    (tmp_path / "cni.json").mkdir()
    assert "Is a directory" in judged(at_least("cni", "ADD", 3), read(tmp_path / "cni.json")).found


def test_of_each_report_it_is_said_where_and_when_it_was_measured() -> None:
    written: dict[str, Report | str] = {
        "mesh": Report("m", 5, (ADD,), "2026-11-30T21:40+00:00"),
        "cni": Report("m", 5, (ADD,)),
        "fib": "cannot be read",
    }
    assert list(origins(written)) == [
        "cni: 5 rounds, ended at a time that is not known, on m",
        "mesh: 5 rounds, ended 2026-11-30T21:40+00:00, on m",
    ]


def test_the_check_passes_with_what_is_missed_as_known_and_without_what_another_test_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "FOLDER", tmp_path)
    monkeypatch.setattr(check, "GOALS", (at_least("cni", "ADD", 4), counted("connections", 1)))
    monkeypatch.setattr(check, "SHORTFALLS", (Shortfall("cni", "ADD", 2.5, "An ADD"),))
    report("cni", [ADD], 5)
    assert check.main() == 0
    report("scale", [figure("connections", [2], "")], 1)
    assert check.main() == 1


def test_each_goal_is_a_ratio_or_a_figure_and_no_row_has_two() -> None:
    assert all((goal.least_ratio is None) != (goal.most is None) for goal in GOALS)
    assert len({(goal.bench, goal.row) for goal in GOALS}) == len(GOALS)
