"""A minute of faults, for real: each cheap kind at least once, while pods probe each other and others come and go."""

from __future__ import annotations

import json
import subprocess
import sys

from faults.__main__ import same_again
from faults.kinds import KINDS
from lab.paths import TREE


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


def test_the_command_that_makes_the_same_faults_chooses_from_the_same_kinds() -> None:
    assert same_again(2, 5, []) == "make faults SEED=2 MINUTES=5"
    assert same_again(2, 0.5, ["kill agent", "mtu"]) == (
        ".venv/bin/python -m faults --seed 2 --minutes 0.5 --only 'kill agent' --only 'mtu'"
    )
