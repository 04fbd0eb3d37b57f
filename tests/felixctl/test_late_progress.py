"""What takes long says how far it is, on a terminal alone."""

from __future__ import annotations

import pytest

from felixctl.late_progress import QUIET_SECONDS, counted, late_progress


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


def test_on_a_terminal_it_is_shown_from_the_third_second_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch)
    moment = 0.0
    with late_progress(lambda: moment) as tell:
        moment = QUIET_SECONDS - 0.1
        tell("too soon")
        assert capsys.readouterr().err == ""
        moment = QUIET_SECONDS
        tell("7 read from a[/b]\x1b]0;title\x07.yaml")
    shown = capsys.readouterr()
    assert "7 read from a[/b]\\x1b]0;title\\x07.yaml" in shown.err
    assert shown.out == ""


def test_where_there_is_no_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    moment = 0.0
    with late_progress(lambda: moment) as tell:
        moment = 100.0
        tell("halfway")
    assert capsys.readouterr() == ("", "")


def test_each_hundredth_thing_is_told_of() -> None:
    told: list[str] = []
    assert list(counted(range(1201), told.append, "read", 20_000)) == list(range(1201))
    assert (len(told), told[0], told[-1]) == (13, "0 of 20,000 read", "1,200 of 20,000 read")
    assert list(counted("a", told.append, "read")) == ["a"]
    assert told[-1] == "0 read"
