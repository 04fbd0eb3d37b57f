"""The lab's cluster, for a process inside its namespaces: its control socket, its nodes' commands, its agents' pages.

An edge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lab.host import ask_within
from lab.node_namespace import NodeNamespace
from lab.paths import STATUS_SOCKET
from lab.state_model import PodState

PAGE_SECONDS = 3.0  # a check of the invariants looks twice, half a second apart


class FaultError(Exception):
    """A fault could not be made or undone; the message says what was tried and why it failed."""


class Cluster:
    """The nodes by name, and the pods that stay while others come and go: they probe each other."""

    def __init__(self, nodes: Mapping[str, NodeNamespace], pods: Sequence[PodState]) -> None:
        self.nodes, self.pods = nodes, pods

    async def ask(self, verb: str, **request: Any) -> Any:
        """Put one request to the lab. Raises lab.host.HostError."""
        return await asyncio.to_thread(ask_within, {"verb": verb, **request})

    async def run(self, node: str, *command: str) -> str:
        """Run a command on a node; return what it printed. Raises FaultError."""
        status, printed, errors = await self.nodes[node].run(*command)
        if status:
            raise FaultError(f"{' '.join(command)} on {node}: {errors.decode(errors='replace').strip() or status}")
        return printed.decode()

    async def page(self, node: str, page: str) -> dict[str, Any]:
        """Return a page of a node's agent; nothing while it does not answer."""
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                answer: dict[str, Any] = await self.nodes[node].get(STATUS_SOCKET, page)
        except (OSError, ValueError):  # TimeoutError is an OSError
            return {}
        return answer


async def cluster_within(names: Sequence[str], pods: Sequence[PodState]) -> Cluster:
    """Return the cluster of the lab that this process is in, and that began with these pods."""
    pids = [await asyncio.to_thread(ask_within, {"verb": "namespace_pid", "node": name}) for name in names]
    return Cluster({name: NodeNamespace(name, pid) for name, pid in zip(names, pids, strict=True)}, pods)
