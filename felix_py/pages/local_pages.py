"""Where the agent's pages are served on its own machine, from its first moment to its last.

An edge. All of them are on a socket, whose mode says who may read it; those of PROBES are on the port of health too.
Until there is an agent to report, and once there is none any more, they say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from felix_py.configuration.settings import Settings
from felix_py.pace import Pace, Urgent
from felix_py.pages.probes import PROBES
from felix_py.pages.start_pages import ENDS, StartPages
from felix_py.pages.web import PageMakers, WebServer
from felix_py.tasks import begun_again
from kernel.kept_paths import keep
from kernel.path_watch import PathWatch


class LocalPages:
    """The two servers. pace: of whatever serves pages of this agent."""

    def __init__(self, settings: Settings, watch: PathWatch) -> None:
        self._settings, self._socket, self._watch = settings, settings.run_dir / "status.sock", watch
        self.pace = Pace()
        self.start = StartPages()
        self._all, self._probes = WebServer({}, self.pace), WebServer({}, self.pace)
        self._show(self.start.by_path())

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve them. Raises OSError: the socket cannot be made."""
        await self._listen()
        keeping = asyncio.create_task(begun_again("keeping the socket of the status", self._keep))
        host, port = self._settings.health_host, self._settings.health_port
        try:
            async with self._probes.kept_on(host, port, "only the socket serves it"):
                yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._all.close()

    async def _listen(self) -> None:
        await self._all.listen_unix(self._socket, self._settings.status_mode)

    async def _keep(self) -> None:
        await keep(self._watch, self._socket, self._listen, "as felixctl finds no agent without it")

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
