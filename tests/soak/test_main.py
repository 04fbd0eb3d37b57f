"""A short run, for real: agents and callers of IPAM are killed, pods and addresses come and go."""

from __future__ import annotations

import json
import subprocess
import sys

from lab.paths import TREE


def test_pods_and_addresses_come_and_go_beside_crashes_and_nothing_grows_or_is_left() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "soak", "--minutes", "0.4"], capture_output=True, text=True, check=False, cwd=TREE
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    found = json.loads((TREE / "build" / "soak.json").read_text())
    assert min(found["pods"], found["addresses"], found["crashes"]) > 0
    assert found["wrong"] == []
