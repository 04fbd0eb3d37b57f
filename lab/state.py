"""What a lab's cluster is doing, collected from its agents, speakers and pods as plain values for the report.

An edge that changes nothing: it asks, and pings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from felix_py.status_json import to_json
from felix_py.status_model import AgentStatus, RouteStatus
from lab.cluster import LabCluster
from lab.node import LabNode
from lab.traffic import ping_matrix, pings


async def cluster_state(cluster: LabCluster) -> dict[str, Any]:
    """Return everything the report shows (lab/report.py)."""
    nodes, pods = list(cluster.nodes.values()), list(cluster.pods.values())
    answers, sent = await cluster.ping(), pings(pods)
    checks = await asyncio.gather(*(node.invariants() for node in nodes))
    statuses = await asyncio.gather(*(node.status() for node in nodes))
    routes = await asyncio.gather(*(node.routes() for node in nodes))
    return {
        "name": cluster.spec.name,
        "nodes": [_node_state(*one) for one in zip(nodes, statuses, routes, strict=True)],
        "pods": [{"name": pod.name, "node": pod.node, "addresses": list(pod.addresses)} for pod in pods],
        "refused": {
            "expected": {node.name: node.refusal.pods for node in cluster.spec.nodes if node.refusal},
            "pods": cluster.refused,
        },
        "sessions": {"expected": cluster.spec.sessions, "established": await cluster.established()},
        "matrix": ping_matrix(pods, answers),
        "pings": {"sent": sent, "lost": sent - sum(map(len, answers.values()))},
        "seconds": dict(cluster.seconds),
        "invariants": {
            "checked": max((check.checked for check in checks), default=0),
            "violated": sorted(
                {
                    f"{node}: {violation.number}. {violation.text}"
                    for node, check in zip(cluster.nodes, checks, strict=True)
                    for violation in check.violated
                }
            ),
        },
        "troubles": [service.trouble for service in cluster.services() if service.ended],
    }


def _node_state(node: LabNode, status: AgentStatus, routes: Iterable[RouteStatus]) -> dict[str, Any]:
    return {
        "name": node.spec.name,
        "addresses": [str(address.ip) for address in node.spec.addresses],
        "as_number": status.as_number,
        "blocks": [str(block) for block in status.blocks],
        "ready": status.ready,
        "peers": to_json(status.peers),
        "routes": to_json(tuple(routes)),
    }
