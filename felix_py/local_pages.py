"""Where the agent's pages are served on its own machine, from its first moment to its last.

An edge. All of them are on a socket, whose mode says who may read it; those of PROBES are on the port of health too.
Until there is an agent to report, and once there is none any more, they say so.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from datastore.backoff import Backoff
from felix_py.pace import Pace, Urgent
from felix_py.pages import PROBES
from felix_py.settings import Settings
from felix_py.start_pages import ENDS, StartPages
from felix_py.web import PageMakers, WebServer

log = logging.getLogger("felix.web")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 10.0


class LocalPages:
    """The two servers. pace: of whatever serves pages of this agent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.pace = Pace()
        self.start = StartPages()
        self._all, self._probes = WebServer({}, self.pace), WebServer({}, self.pace)
        self._show(self.start.by_path())

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve them. Raises OSError: the socket cannot be made."""
        await self._all.listen_unix(self._settings.run_dir / "status.sock", self._settings.status_mode)
        listening = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await asyncio.gather(self._all.close(), self._probes.close())

    @contextmanager
    def showing(self, pages: PageMakers, urgent: Urgent) -> Iterator[None]:
        """Have them made by an agent. urgent: what goes before them from now on."""
        self.pace.give_way_to(urgent)
        self._show(pages)
        try:
            yield
        finally:
            self.start.waits_for = ENDS
            self._show(self.start.by_path())

    def _show(self, pages: PageMakers) -> None:
        self._all.show(pages)
        self._probes.show({path: pages[path] for path in PROBES})

    async def _listen(self) -> None:
        """Serve probes and scrapers once the port can be had: a calico-node on its way out may still have it."""
        host, port = self._settings.health_host, self._settings.health_port
        backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while port:
            try:
                await self._probes.listen_tcp(host, port)
                break
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
                where, pause = f"{host} port {port}", backoff.next()
                log.warning(
                    "serve health on %s: %s; only the socket serves it; next try in %.1f s", where, reason, pause
                )
                await asyncio.sleep(pause)
