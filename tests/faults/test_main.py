"""A minute of faults, for real: each cheap kind at least once, while pods probe each other and others come and go."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from faults.__main__ import FILES, same_again
from faults.kinds import KINDS
from lab.leftovers import held_namespaces, listing, namespaces_of
from lab.paths import TREE
from tests.processes import interrupt, tool


def test_a_minute_of_faults_costs_no_probe_that_it_may_not_and_leaves_nothing() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "faults", "--seed", "1", "--minutes", "1", "--busy"],
        capture_output=True,
        text=True,
        check=False,
        cwd=TREE,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    found = json.loads((TREE / "build" / "faults.json").read_text())
    assert {kind.name for kind in KINDS.values() if kind.cheap} <= found["faults"].keys()
    assert found["seed"] == 1
    assert (found["leaks"], found["invariants"]["violated"], found["tracebacks"]) == (0, 0, 0)
    assert min(found["probes"]["sent"], found["operations"], found["invariants"]["checked"]) > 100
    assert (TREE / "build" / "faults.txt").read_text().startswith("seed 1, 1 min: ")


@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "SIGTERM to the command alone"])
def test_a_run_that_is_interrupted_leaves_no_lab_and_says_how_to_repeat_it(to_all: bool) -> None:
    for file in FILES:
        file.write_text("of the run before")
    with tool("faults", "--seed", "1", "--minutes", "1", "--only", "stop agent") as command:
        assert command.stdout is not None
        assert any("kill -STOP agent" in line for line in command.stdout)
        with held_namespaces(init_of(command.pid)) as own:
            said = interrupt(command, all_of_it=to_all)
            left = [each for each in listing().processes.values() if own.intersection(each.namespaces)]
    assert (command.returncode, left) == (130, [])
    assert not any(file.exists() for file in FILES), "what the run before had found is no finding of this one"
    again = "the same faults again: .venv/bin/python -m faults --seed 1 --minutes 1 --only 'stop agent'"
    assert said == f"\ninterrupted; nothing is written\n{again}\n"


def init_of(command: int) -> int:
    """Return the first process of the lab that a command has started: the first below it in other namespaces."""
    mine, found = namespaces_of(os.getpid()), [command]
    children: dict[int, list[int]] = {}
    for process in listing().processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    for pid in found:
        found += children.get(pid, [])
    return next(pid for pid in found if namespaces_of(pid).isdisjoint(mine))


def test_the_command_that_makes_the_same_faults_chooses_from_the_same_kinds() -> None:
    assert same_again(2, 5, []) == "the same faults again: make faults SEED=2 MINUTES=5"
    assert same_again(2, 0.5, ["kill agent", "mtu"]) == (
        "the same faults again: .venv/bin/python -m faults --seed 2 --minutes 0.5 --only 'kill agent' --only 'mtu'"
    )
