"""All nodes from one place: felixctl asks the agents of real nodes through the API server, without a shell there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
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


def told(made: Cluster, *arguments: str, code: int = 0) -> Any:
    """Return what felixctl prints for programs; it must end with this code."""
    ran = felixctl(made, *arguments, "--output=json")
    assert ran.returncode == code, f"{arguments}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def why(made: Cluster, pair: tuple[PodState, PodState], code: int = 0) -> Any:
    """Return how the packets of a pair of pods travel."""
    return told(made, "why", *(f"default/{pod.name}" for pod in pair), code=code)


def unseen(found: Any) -> list[str]:
    return [f"{step['where']}: {step['text']}" for step in found["steps"] if step["state"] == "unseen"]


def namespace_of(made: Cluster, pod: PodState) -> str:
    """Return the name that the runtime has given the network namespace of a pod."""
    machine, address = made.nodes[pod.node].machine, f"{pod.addresses[0]}/32"
    names = machine.run("ls", "/run/netns").split()
    # Those of other pods may go meanwhile.
    (found,) = (name for name in names if address in machine.try_run("ip", "-netns", name, "address").stdout.split())
    return found


@contextmanager
def changed(made: Cluster, pod: PodState, change: str, back: str) -> Iterator[None]:
    """Have one thing in a pod as an `ip` command makes it, until another one puts it back."""
    within = ("ip", "-netns", namespace_of(made, pod))
    made.nodes[pod.node].machine.run(*within, *change.split())
    try:
        yield
    finally:
        made.nodes[pod.node].machine.run(*within, *back.split())


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


def test_why_follows_a_packet_from_pod_to_pod_over_two_nodes(made: Cluster, pair: tuple[PodState, PodState]) -> None:
    """The pods started after the agents, whose containers see what a runtime names later."""
    near, far = pair
    found = why(made, pair)
    assert (found["from"]["node"], found["to"]["node"]) == (near.node, far.node)
    assert found["reachable"], found["verdict"]
    ends = {f"default/{pod.name}" for pod in pair}
    assert {step["where"] for step in found["steps"]} >= {near.node, far.node, *ends}
    assert unseen(found) == []


def test_why_names_a_wrong_route_in_a_pod(made: Cluster, pair: tuple[PodState, PodState]) -> None:
    near, far = pair
    route = f"blackhole {far.addresses[0]}/32"
    with changed(made, near, f"route add {route}", f"route del {route}"):
        found = why(made, pair, code=1)
    assert found["verdict"].startswith(f"default/{near.name}: the pod has no route to {far.addresses[0]} but {route}")


def test_why_names_a_pod_that_takes_smaller_packets_than_its_node_sends(
    made: Cluster, pair: tuple[PodState, PodState]
) -> None:
    _, far = pair
    with changed(made, far, "link set eth0 mtu 1300", "link set eth0 mtu 1500"):
        found = why(made, pair, code=1)
    assert f"MTU too small: eth0 of default/{far.name} takes 1300 bytes" in found["verdict"]
    assert why(made, pair)["reachable"]


def test_why_sees_pods_when_their_namespaces_folder_is_mounted_over(
    made: Cluster, pair: tuple[PodState, PodState]
) -> None:
    """The first `ip netns add` on a host mounts the folder on itself, and hides what was mounted into a container."""
    near, _ = pair
    node = made.nodes[near.node].machine
    node.run("ip", "netns", "add", "other")
    try:
        assert unseen(why(made, pair)) == []
    finally:
        node.run("ip", "netns", "delete", "other")  # the mount stays, as on any host
