from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.runtimes.go_tools import libcni
from tests.runtimes.machine import Machine

NETWORK = "k8s-pod-network"
NAMESPACE = "/run/netns/tool"


@pytest.fixture
def tool(nodes: list[Machine]) -> Iterator[Machine]:
    shutil.copy(libcni()[1], nodes[0].path("/opt/cnitool"))
    nodes[0].run("ip", "netns", "add", "tool")
    yield nodes[0]
    cnitool(nodes[0], "del")
    nodes[0].run("ip", "netns", "delete", "tool")


def cnitool(machine: Machine, verb: str) -> str:
    return machine.run("/opt/cnitool", verb, NETWORK, NAMESPACE, environment={"CNI_PATH": "/opt/cni/bin"})


def test_cnitool_takes_a_network_that_the_agent_installed_through_every_verb(tool: Machine) -> None:
    cnitool(tool, "status")
    added = json.loads(cnitool(tool, "add"))
    pod = added["ips"][0]["address"].partition("/")[0]
    cnitool(tool, "check")
    tool.run("ping", "-c", "1", "-W", "2", pod)
    cnitool(tool, "gc")
    assert tool.try_run("ping", "-c", "1", "-W", "1", pod).returncode != 0
    cnitool(tool, "del")
