"""What a cluster is doing, collected from its agents and pods, as the values that the lab's report shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

from felix_py.status_model import AgentStatus, InvariantReport, RoutesPage
from felixctl.errors import CommandError
from felixctl.status_client import read_page
from lab.state_model import InvariantCount, LabState, NodeState, PingCount, SessionCount
from tests.cluster.cluster import Cluster
from tests.cluster.node import ClusterNode
from tests.cluster.pings import lost, ping_all, running_pods

Page = TypeVar("Page")
_RUN_DIR = "/run/felix"


def agent_page(node: ClusterNode, page: str, form: type[Page]) -> Page:
    """Return a page of a node's agent. Raises CommandError: it does not answer."""
    return read_page(node.machine.live_path(_RUN_DIR), page, form)


def agent_status(node: ClusterNode) -> AgentStatus:
    """Return the status of a node's agent. Raises CommandError: it does not answer."""
    return agent_page(node, "/status", AgentStatus)


def agents_ready(made: Cluster) -> int:
    """Return how many agents answer, and are ready."""
    return sum(status.ready for status in _statuses(made))


def sessions_up(made: Cluster) -> int:
    """Return how many sessions are up, counted at both ends, of the agents that answer."""
    return sum(peer.is_up for status in _statuses(made) for peer in status.peers)


def _statuses(made: Cluster) -> Iterator[AgentStatus]:
    for node in made.nodes.values():
        with suppress(CommandError):  # it is starting
            yield agent_status(node)


def mesh(made: Cluster) -> int:
    """Return how many sessions a full mesh of the nodes has, counted at both ends."""
    return len(made.nodes) * (len(made.nodes) - 1)


def pod_routes(node: ClusterNode) -> list[str]:
    """Return the addresses that a node's kernel routes to pods of its own."""
    routes = json.loads(node.machine.run("ip", "-json", "route", "show", "proto", "80"))
    return [route["dst"] for route in routes if route.get("dev", "").startswith("cali")]


def cluster_state(made: Cluster, seconds: dict[str, float]) -> LabState:
    """seconds: when each stage was reached. Raises CommandError: an agent does not answer."""
    pods = running_pods(made.kubectl)
    matrix = ping_all(made.kubectl, pods)
    checks = {name: agent_page(node, "/invariants", InvariantReport) for name, node in made.nodes.items()}
    return LabState(
        name="Kubernetes",
        nodes=tuple(map(_node_state, made.nodes.values())),
        pods=tuple(pods),
        sessions=SessionCount(mesh(made), sessions_up(made)),
        matrix=matrix,
        pings=PingCount(len(pods) * (len(pods) - 1), lost(pods, matrix)),
        seconds=seconds,
        invariants=InvariantCount(
            max(check.checked for check in checks.values()),
            tuple(f"{name}: {one.number}. {one.text}" for name, check in checks.items() for one in check.violated),
        ),
    )


def _node_state(node: ClusterNode) -> NodeState:
    status = agent_status(node)
    routes = agent_page(node, "/routes", RoutesPage).routes
    blocks = tuple(map(str, status.blocks))
    return NodeState(node.name, (node.address,), status.as_number, blocks, status.ready, status.peers, routes)
