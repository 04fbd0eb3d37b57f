"""One agent on a node; the next one gets the lock when the first has ended."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from felix_py.identity import StartupError
from felix_py.startup.single_instance import single_instance


def test_a_second_one_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    refusal = r"^start the agent in .*/run: another agent is already running$"
    with single_instance(tmp_path / "run"), pytest.raises(StartupError, match=refusal):
        with_the_lock(tmp_path / "run")
    with_the_lock(tmp_path / "run")


def with_the_lock(folder: Path) -> None:
    with single_instance(folder):
        pass


def test_only_root_can_hold_it(tmp_path: Path) -> None:
    (tmp_path / "agent.lock").touch(0o666)
    with single_instance(tmp_path):
        assert stat.S_IMODE((tmp_path / "agent.lock").stat().st_mode) == 0o600
