"""When all is in sync again: agents and sessions, what the invariants say, pods that are attached, probes that flow.

An edge that asks; it changes nothing.
"""

from __future__ import annotations

import asyncio
import time

from faults.churn import Churn
from faults.cluster import Cluster
from faults.probes import Probes
from felix_py.status.status_json import from_json
from felix_py.status_model import AgentStatus, InvariantReport

PATIENCE_SECONDS = 45.0
_PAUSE_SECONDS = 0.05


class Sync:
    """Waits until all is in sync. checked: how many invariants were looked at on the way."""

    def __init__(self, cluster: Cluster, churn: Churn, probes: Probes) -> None:
        self._cluster, self._churn, self._probes = cluster, churn, probes
        self.checked = 0

    async def wait(self, undone: float) -> str:
        """Return when all is in sync after a fault that was undone then, or why it is not when patience is over."""
        deadline = undone + PATIENCE_SECONDS
        while trouble := await self._why_not(undone):
            if time.monotonic() > deadline:
                return f"not in sync after {PATIENCE_SECONDS:g} s: {trouble}"
            await asyncio.sleep(_PAUSE_SECONDS)
        return ""

    async def violated(self) -> list[str]:
        """Return what the invariants say of each node that has an agent: a sentence each."""
        nodes = list(self._cluster.nodes)
        pages = await asyncio.gather(*(self._cluster.page(node, "/invariants") for node in nodes))
        reports = [from_json(InvariantReport, page) for page in pages]
        self.checked += sum(report.checked for report in reports)
        return [
            f"{node}: {broken.number}. {broken.text}"
            for node, report in zip(nodes, reports, strict=True)
            for broken in report.violated
        ]

    async def _why_not(self, undone: float) -> str:
        """Return the first thing that is not in sync, cheap questions first."""
        nodes = list(self._cluster.nodes)
        pages = await asyncio.gather(*(self._cluster.page(node, "/status") for node in nodes))
        for node, page in zip(nodes, pages, strict=True):
            if trouble := _trouble(from_json(AgentStatus, {"node": node, **page}), len(nodes) - 1):
                return f"{node}: {trouble}"
        if late := [node for node, moment in self._churn.added_at.items() if moment < undone]:
            return f"no pod has been attached since on {', '.join(late)}"
        if trouble := await self._probes.why_not_flowing():
            return trouble
        return "; ".join(await self.violated())


def _trouble(status: AgentStatus, sessions: int) -> str:
    if not status.ready:
        return "the agent is not ready"
    if status.progress.held_back:
        return status.progress.held_back
    if not status.sidecar.connected:
        return "the agent is without its sidecar"
    if (up := sum(peer.is_up for peer in status.peers)) != sessions:
        return f"{up} of {sessions} sessions are up"
    if status.refused_routes:
        return f"the kernel refuses routes: {dict(status.refused_routes)}"
    return ""
