"""Colour is for terminals alone."""

from __future__ import annotations

import pytest

from felixctl.terminal import Colour, painted


def terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_on_a_terminal_text_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    assert painted("up", Colour.GOOD) == "\033[32mup\033[0m"
    assert painted("up", None) == "up"


@pytest.mark.parametrize("environment", [{"NO_COLOR": ""}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_colour_gets_none(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    terminal(monkeypatch, **environment)
    assert painted("up", Colour.GOOD) == "up"


def test_a_pipe_gets_plain_text() -> None:
    assert painted("down", Colour.BAD) == "down"
