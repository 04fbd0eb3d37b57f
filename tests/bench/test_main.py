"""A benchmark that is interrupted leaves neither processes nor files behind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.processes import interrupt, that_know, tool

PATIENCE_SECONDS = 60.0


@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "SIGTERM to the command alone"])
def test_what_it_has_started_ends_with_it(tmp_path_factory: pytest.TempPathFactory, to_all: bool) -> None:
    folder = tmp_path_factory.mktemp("t")
    with tool("bench", "cni", folder=folder) as command:
        wait_until_it_measures(folder)
        assert len(that_know(folder)) > 2
        said = interrupt(command, all_of_it=to_all)
    assert (command.returncode, said) == (130, "bench: cni is interrupted; nothing of it is written\n")
    assert (that_know(folder), list(folder.iterdir())) == ([], [])


def wait_until_it_measures(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(folder.glob("felix-bench-*/host-local")):  # the peer's files
        assert time.monotonic() < deadline
        time.sleep(0.05)
