"""What a benchmark leaves behind for `compare` and for a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import result
from bench.result import duration, report


def test_two_rows_of_one_name_are_refused_as_compare_would_show_only_one() -> None:
    row = duration("ADD", [1], [2], "ptp", "ms")
    with pytest.raises(ValueError, match="several rows are called ADD"):
        report("twice", [row, row])


def test_remarks_stand_beside_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(result, "FOLDER", tmp_path)
    report("one", [duration("ADD", [1], [2], "ptp", "ms")], ["measured elsewhere"])
    assert json.loads((tmp_path / "one.json").read_text())["remarks"] == ["measured elsewhere"]
    assert "measured elsewhere" in capsys.readouterr().out
