"""Says which pods of this node are cut off, as their device is down, has another name or is gone.

An edge: it logs what is new and what is over, and leaves the sentences in the agent's progress. The kernel tells of a
device at once. Of a pod that ends, the device may go before the endpoint does: only what lasts is said.
"""

from __future__ import annotations

import asyncio
import logging

from felix_py.host.host import Host
from felix_py.packet_path.host_warnings import cut_off
from felix_py.progress import Progress
from felix_py.routes.sources import PodRoutes

log = logging.getLogger("felix.host")

SECONDS = 1.0


class CutOffPods:
    """seconds: between a change of any pod or device and the look at those that are cut off."""

    def __init__(self, pods: PodRoutes, host: Host, progress: Progress, seconds: float = SECONDS) -> None:
        self._pods, self._host, self._progress, self._seconds = pods, host, progress, seconds
        self._is_due = False

    async def look_soon(self) -> None:
        """Have them looked at, once for all that changes until then. It does not wait."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(self._seconds, self.look)

    def look(self) -> None:
        self._is_due = False
        before, progress, host = self._progress.cut_off, self._progress, self._host
        progress.cut_off = cut_off(self._pods.without_device.values(), host.names.values())
        for warning in progress.cut_off:
            if warning not in before:
                log.warning("%s", warning)
        if before and not progress.cut_off:
            log.info("over: the device of each pod is up")
