"""What a lab's cluster is doing, collected from its agents, speakers and pods for the report.

An edge that changes nothing: it asks, and pings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from felix_py.status_model import AgentStatus, RouteStatus
from lab.cluster import LabCluster
from lab.node import LabNode
from lab.state_model import InvariantCount, LabState, NodeState, PingCount, PodState, Refusals, SessionCount
from lab.traffic import ping_matrix, pings


async def cluster_state(cluster: LabCluster) -> LabState:
    nodes, pods = list(cluster.nodes.values()), list(cluster.pods.values())
    answers, sent = await cluster.ping(), pings(pods)
    checks = await asyncio.gather(*(node.invariants() for node in nodes))
    statuses = await asyncio.gather(*(node.status() for node in nodes))
    routes = await asyncio.gather(*(node.routes() for node in nodes))
    violated = {
        f"{node}: {violation.number}. {violation.text}"
        for node, check in zip(cluster.nodes, checks, strict=True)
        for violation in check.violated
    }
    return LabState(
        name=cluster.spec.name,
        nodes=tuple(_node_state(*one) for one in zip(nodes, statuses, routes, strict=True)),
        pods=tuple(PodState(pod.name, pod.node, pod.addresses) for pod in pods),
        refused=Refusals(
            {node.name: node.refusal.pods for node in cluster.spec.nodes if node.refusal}, tuple(cluster.refused)
        ),
        sessions=SessionCount(cluster.spec.sessions, await cluster.established()),
        matrix=ping_matrix(pods, answers),
        pings=PingCount(sent, sent - sum(map(len, answers.values()))),
        seconds=dict(cluster.seconds),
        invariants=InvariantCount(max((check.checked for check in checks), default=0), tuple(sorted(violated))),
        troubles=tuple(service.trouble for service in cluster.services() if service.ended),
    )


def _node_state(node: LabNode, status: AgentStatus, routes: Iterable[RouteStatus]) -> NodeState:
    return NodeState(
        node.spec.name,
        tuple(str(address.ip) for address in node.spec.addresses),
        status.as_number,
        tuple(map(str, status.blocks)),
        status.ready,
        status.peers,
        tuple(routes),
    )
