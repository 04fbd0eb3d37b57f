"""Brings every group of peers from what ExaBGP was given to what is wanted, batch by batch.

An edge: it writes to ExaBGP and waits for its answers. What is in a batch, whom it is for and when an end-of-RIB is due
is bgp/rib_out.py's decision.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

from bgp.exabgp_commands import announce, ask_for_routes, end_of_rib, withdraw
from bgp.exabgp_process import ExaBGPError
from bgp.rib_out import Batch, RibOut, RibsOut
from net.family import Family

PREFIXES_PER_BATCH = 1000
LINES_PER_WRITE = 1000

Send: TypeAlias = Callable[[Sequence[str]], Awaitable[list[bool]]]

log = logging.getLogger("bgp")


class Sender:
    """Runs rounds of sending while ExaBGP runs; `wake` asks for one."""

    def __init__(self, ribs_out: RibsOut, send: Send, clock: Callable[[], float]) -> None:
        self.running = False
        self._ribs_out = ribs_out
        self._send_lines = send
        self._clock = clock
        self._due = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._questions: list[str] = []

    def ask_for_routes(self, peer: str, families: Iterable[Family]) -> None:
        """Ask a peer for its routes, in the next round."""
        self._questions += ask_for_routes(peer, families)
        self.wake()

    def wake(self) -> None:
        self._all_sent.clear()
        self._due.set()

    async def all_sent(self) -> None:
        """Return once a complete table, and all that changed in it until now, was given to ExaBGP."""
        await self._all_sent.wait()

    async def run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if not self.running:
                continue
            try:
                if await self.send_round():
                    self._due.set()
                elif self._ribs_out.complete and not self._due.is_set():
                    self._all_sent.set()
            except ExaBGPError as error:
                log.warning("announcing stopped: %s; everything is announced again when ExaBGP is back", error)

    async def send_round(self) -> bool:
        """Send what is pending, each prefix once per batch; return whether anything is due again.

        In each group: the batches, then the table for members that lack it, then the ends-of-RIB that were due when the
        round began. A peer that comes up, or a route that changes, meanwhile is served by the next round, so that no
        stream of changes can hold an end-of-RIB back.
        """
        for rib in list(self._ribs_out.groups.values()):
            await self._send_group(rib)
        questions, self._questions = self._questions, []
        if questions:
            await self._write(questions)
        now = self._clock()
        return any(rib.pending or rib.end_of_rib_due(now) for rib in self._ribs_out.groups.values())

    async def _send_group(self, rib: RibOut) -> None:
        due = rib.end_of_rib_due(self._clock())
        for _ in range(0, rib.pending, PREFIXES_PER_BATCH):
            batch = rib.next_batch(PREFIXES_PER_BATCH)
            if batch:
                if receivers := rib.receivers():
                    # Where there is one group, it has every neighbour of ExaBGP's: no need to name them.
                    await self._send(batch, to=receivers if len(self._ribs_out.groups) > 1 else ())
                rib.answered(batch)
        for address in rib.need_full_table():
            await self._send(rib.full_table(address), to=[address])
        ended = {address: pending for address, pending in due.items() if rib.needs_end_of_rib(address, pending)}
        if ended:
            await self._write(end_of_rib({address: pending.families for address, pending in ended.items()}))
            for address, pending in ended.items():
                rib.end_of_rib_sent(address, pending)

    async def _send(self, batch: Batch, to: Sequence[str]) -> None:
        lines = withdraw(batch.withdraw, to=to) + announce(batch.announce, to=to)
        for start in range(0, len(lines), LINES_PER_WRITE):
            await self._write(lines[start : start + LINES_PER_WRITE])

    async def _write(self, lines: Sequence[str]) -> None:
        for line, accepted in zip(lines, await self._send_lines(lines), strict=True):
            if not accepted:
                log.error("give ExaBGP %r: it answered error; the peers do not get this", line[:200])
