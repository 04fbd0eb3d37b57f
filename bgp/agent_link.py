"""The sidecar's end of one agent's connection: replay, end mark, changes, at the pace the agent reads.

However long an agent does not read, what waits for it is at most one mark per prefix: the routes themselves are looked
up in RIB-in when they are written. So a stalled reader costs no session and no memory worth naming, and loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice

from bgp.protocol import PER_LINE, Learned, Message, ReplayEnd, Settled, Withdrawn, encode
from bgp.rib_in import RibIn
from kernel.prefix import Prefix


class Telling:
    """What one agent has been told against what RIB-in holds now. Pure."""

    def __init__(self, rib_in: RibIn) -> None:
        self._rib_in = rib_in
        self._told: dict[Prefix, tuple[bytes, ...]] = {}
        self._pending: dict[Prefix, None] = dict.fromkeys(rib_in.prefixes())

    def mark(self, prefixes: Iterable[Prefix]) -> None:
        self._pending.update(dict.fromkeys(prefixes))

    def next_messages(self) -> list[Learned | Withdrawn] | None:
        """Return what there is to say of the next PER_LINE waiting prefixes, or None when none waits."""
        if not self._pending:
            return None
        learned: dict[Prefix, tuple[bytes, ...]] = {}
        withdrawn = []
        for prefix in list(islice(self._pending, PER_LINE)):
            del self._pending[prefix]
            next_hops = self._rib_in.next_hops(prefix)
            if next_hops and self._told.get(prefix) != next_hops:
                learned[prefix] = self._told[prefix] = next_hops
            elif not next_hops and self._told.pop(prefix, ()):
                withdrawn.append(prefix)
        messages: list[Learned | Withdrawn] = []
        if learned:
            messages.append(Learned(learned))
        if withdrawn:
            messages.append(Withdrawn(tuple(withdrawn)))
        return messages


class AgentLink:
    """Writes to one agent. `run` ends when the connection does."""

    def __init__(self, writer: asyncio.StreamWriter, rib_in: RibIn, *, settled: bool) -> None:
        self._writer = writer
        self._telling = Telling(rib_in)
        self._settled = settled
        self._notices: list[Message] = []
        self._wake = asyncio.Event()

    def changed(self, prefixes: Iterable[Prefix]) -> None:
        self._telling.mark(prefixes)
        self._wake.set()

    def settle(self) -> None:
        """Say once that the sessions have settled, after everything learned before."""
        if not self._settled:
            self._settled = True
            self.notify(Settled())

    def notify(self, message: Message) -> None:
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

    async def _write(self, message: Message) -> None:
        self._writer.write(encode(message))
        await self._writer.drain()
