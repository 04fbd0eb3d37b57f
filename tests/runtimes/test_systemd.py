from __future__ import annotations

from tests.runtimes.handbook import commands
from tests.runtimes.machine import Machine


def test_the_units_are_sound_for_systemd(nodes: list[Machine]) -> None:
    for unit in ("felix-agent", "felix-sidecar"):
        nodes[0].run("systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{unit}.service")


def test_the_commands_that_look_at_a_node_succeed(nodes: list[Machine]) -> None:
    for script in commands("Start")[1:]:
        nodes[0].sh(script)
