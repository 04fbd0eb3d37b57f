"""A short run, for real: agents and callers of IPAM are killed, pods and addresses come and go."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.paths import TREE
from soak.__main__ import Soak
from tests.processes import children


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
