"""A datastore in a file for each test, and the command line that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.felixctl.command import Felixctl


@pytest.fixture
def felixctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Felixctl:
    return Felixctl(f"sqlite://{tmp_path}/cluster.db", monkeypatch, capsys)
