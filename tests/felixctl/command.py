"""Run felixctl in this process, as from a shell whose output is a pipe."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass

import pytest

from felixctl.__main__ import main


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


class Felixctl:
    """The command, with one datastore."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.setenv("FELIX_DATASTORE", url)
        monkeypatch.setenv("COLUMNS", "200")

    def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        self._monkeypatch.setattr("felixctl.__main__.end_at_once", sys.exit)  # the tests go on
        self._monkeypatch.setattr("sys.argv", ["felixctl", *arguments])
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self._capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        printed = self._capsys.readouterr()
        return Ended(status, printed.out, printed.err)
