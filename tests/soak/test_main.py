"""A short run, for real: agents and callers of IPAM are killed, pods and addresses come and go."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.paths import TREE
from soak.__main__ import Soak
from tests.processes import children, interrupt, that_know, tool

PATIENCE_SECONDS = 60.0


def test_pods_and_addresses_come_and_go_beside_crashes_and_nothing_grows_or_is_left() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "soak", "--minutes", "0.2"], capture_output=True, text=True, check=False, cwd=TREE
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    found = json.loads((TREE / "build" / "soak.json").read_text())
    assert min(found["pods"], found["addresses"], found["crashes"]) > 0
    assert found["wrong"] == []


def test_a_second_node_that_cannot_be_made_leaves_no_first_one_behind(tmp_path: Path) -> None:
    (tmp_path / "killed").mkdir()
    before = children()
    with pytest.raises(FileExistsError), ExitStack() as stack:
        Soak(tmp_path, stack)
    assert (tmp_path / "steady" / "agent.log").exists(), "the first one was started"
    assert children() == before


@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "SIGTERM to the command alone"])
def test_a_run_that_is_interrupted_leaves_neither_processes_nor_files(
    tmp_path_factory: pytest.TempPathFactory, to_all: bool
) -> None:
    folder = tmp_path_factory.mktemp("t")
    with tool("soak", "--minutes", "5", folder=folder) as command:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sum("soak.addresses" in command for command in that_know(folder)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        said = interrupt(command, all_of_it=to_all)
    assert (command.returncode, said) == (130, "\ninterrupted; nothing is written\n")
    assert (that_know(folder), list(folder.iterdir())) == ([], [])
