"""The sidecar's end of one agent's connection: replay, end mark, changes, at the pace the agent reads.

However long an agent does not read, what waits for it is at most one mark per prefix: the routes themselves are looked
up in RIB-in when they are written. So a stalled reader costs no session and no memory worth naming, and loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from bgp.agent_feed import AgentFeed
from bgp.protocol import Converged, ReplayEnd, SidecarMessage, encode
from bgp.rib_in import RibIn
from net.prefix import Prefix


class AgentLink:
    """Writes to one agent, which started at `started`. `run` ends when the connection does."""

    def __init__(self, writer: asyncio.StreamWriter, rib_in: RibIn, *, started: int, settled: bool) -> None:
        self.started = started
        self._writer = writer
        self._telling = AgentFeed(rib_in)
        self._settled = settled
        self._notices: list[SidecarMessage] = []
        self._wake = asyncio.Event()

    def changed(self, prefixes: Iterable[Prefix]) -> None:
        self._telling.mark(prefixes)
        self._wake.set()

    def settle(self) -> None:
        """Say once that the sessions have settled, after everything learned before."""
        if not self._settled:
            self._settled = True
            self.notify(Converged())

    def notify(self, message: SidecarMessage) -> None:
        self._notices.append(message)
        self._wake.set()

    def close(self) -> None:
        """Let the agent go at once: one that does not read would never take what is still to be written."""
        self._writer.transport.abort()

    async def run(self) -> None:
        settled_at_replay = self._settled
        await self._tell()
        await self._write(ReplayEnd(settled_at_replay))
        while True:
            await self._wake.wait()
            self._wake.clear()
            notices, self._notices = self._notices, []
            await self._tell()
            for notice in notices:
                await self._write(notice)

    async def _tell(self) -> None:
        while (messages := self._telling.next_messages()) is not None:
            for message in messages:
                await self._write(message)

    async def _write(self, message: SidecarMessage) -> None:
        self._writer.write(encode(message))
        await self._writer.drain()
