"""All nodes from one place: felixctl asks the agents of real nodes through the API server, without a shell there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.state_model import PodState
from tests.cluster.cluster import Cluster
from tests.cluster.felixctl import felixctl
from tests.cluster.pings import running_pods
from tests.cluster.state import mesh, sessions_up
from tests.cluster.workloads import deployment


@pytest.fixture(scope="module")
def pair(made: Cluster) -> Iterator[tuple[PodState, PodState]]:
    """A pod of n1 and one of n2."""
    made.kubectl.apply(deployment("near", 1, nodeName="n1"), deployment("far", 1, nodeName="n2"))
    which = "--selector=app in (near, far)"
    made.until("pods are ready", 2, lambda: len(running_pods(made.kubectl, which)))
    made.until("sessions are up", mesh(made), lambda: sessions_up(made))
    near, far = sorted(running_pods(made.kubectl, which), key=lambda pod: pod.node)
    yield near, far
    made.kubectl("delete", "deployment", "near", "far", "--cascade=foreground")


def told(made: Cluster, *arguments: str) -> Any:
    """Return what felixctl prints for programs; it must end well."""
    ran = felixctl(made, *arguments, "--output=json")
    assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def test_the_status_of_all_nodes_is_the_mesh(made: Cluster, pair: tuple[PodState, PodState]) -> None:
    counts = told(made, "node", "status", "--all")["counts"]
    nodes = len(made.nodes)
    assert (counts["answered"], counts["ready"], counts["wrong"]) == (nodes, nodes, 0)
    assert (counts["sessions"], counts["sessions_up"]) == (mesh(made), mesh(made))
    assert counts["pods"] >= len(pair)


def test_the_status_of_one_node_has_its_pods_and_peers(made: Cluster, pair: tuple[PodState, PodState]) -> None:
    near, _ = pair
    status = told(made, "node", "status", f"--node={near.node}")
    assert [*near.addresses] in [pod["addresses"] for pod in status["pods"]]
    others = {node.address for name, node in made.nodes.items() if name != near.node}
    assert {peer["address"] for peer in status["peers"]} == others


def test_the_routes_of_one_node_are_those_of_its_kernel(made: Cluster, pair: tuple[PodState, PodState]) -> None:
    near, far = pair
    listed = {route["prefix"] for route in told(made, "routes", f"--node={near.node}") if route["in_fib"]}
    kernel = json.loads(made.nodes[near.node].machine.run("ip", "-json", "route", "show", "metric", "1030"))
    assert listed == {route["dst"] if "/" in route["dst"] else f"{route['dst']}/32" for route in kernel}
    assert f"{near.addresses[0]}/32" in listed
    assert told(made, "routes", far.addresses[0], f"--node={near.node}")


def test_why_follows_a_packet_between_two_nodes(made: Cluster, pair: tuple[PodState, PodState]) -> None:
    near, far = pair
    found = told(made, "why", f"default/{near.name}", f"default/{far.name}")
    assert (found["from"]["node"], found["to"]["node"]) == (near.node, far.node)
    assert found["reachable"], found["verdict"]
    assert {step["where"] for step in found["steps"]} >= {near.node, far.node}
