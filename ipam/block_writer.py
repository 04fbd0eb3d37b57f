"""Carrying out what is asked of blocks: one compare-and-swap for all asks that wait for the same block.

A handle counts an address before the block gives it and until the block has taken it back, so a crash may leave
a handle that counts too much, never an address that no handle knows. Where the store has transactions,
handles and block are one, and nothing is left at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import DatastoreError
from datastore.fields import Network
from datastore.group_commit import Batcher
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.record import Resource
from datastore.store import Create, Delete, Store, Update, Write
from ipam import batch
from ipam.batch import Answer, Ask, Outcome, counted
from ipam.errors import Contention
from ipam.names import cidr_name, handle_name

log = logging.getLogger(__name__)


class MissingBlock(Exception):
    """There is no such block (any more)."""


class BlockWriter:
    """The blocks of one store, as one process asks for changes of them."""

    def __init__(self, store: Store, now_ns: Callable[[], int], cooldown_seconds: Callable[[], Awaitable[int]]) -> None:
        self._store = store
        self._now_ns = now_ns
        self._cooldown_seconds = cooldown_seconds
        self._written: dict[Network, IPAMBlock] = {}
        self._rounds: Batcher[Network, Ask, Answer] = Batcher(self._serve)

    async def ask(self, cidr: Network, ask: Ask) -> Answer:
        """Return the addresses assigned or released.

        Raises MissingBlock, and what the ask is refused with. After DatastoreError the ask may have been carried
        out or not: the handle tells.
        """
        return await self._rounds.submit(cidr, ask)

    def last_written(self, cidr: Network) -> IPAMBlock | None:
        """Return the block as this process wrote it last; a hint, since others write it too."""
        return self._written.get(cidr)

    async def _serve(self, cidr: Network, asks: Sequence[Ask]) -> Sequence[Answer | Exception]:
        guessed = self._written.pop(cidr, None)
        if guessed:
            outcome = await self._outcome(guessed, asks)
            refused = any(isinstance(answer, Exception) for answer in outcome.answers)
            if outcome.block is not guessed and not refused and await self._commit(outcome, guess=True):
                return outcome.answers
        for attempt in range(ATTEMPTS):
            before = await found_or_none(self._store.get(IPAMBlock, cidr_name(str(cidr))))
            if before is None:
                return [MissingBlock(f"there is no block {cidr}")] * len(asks)
            outcome = await self._outcome(before, asks)
            if outcome.block is before or await self._commit(outcome, guess=not guessed and attempt == 0):
                return outcome.answers
        raise Contention(f"write block {cidr}: overtaken by other writers {ATTEMPTS} times in a row; try again later")

    async def _outcome(self, before: IPAMBlock, asks: Sequence[Ask]) -> Outcome:
        cooldown = await self._cooldown_seconds() if batch.needs_cooldown(before, asks) else 0
        return batch.serve(before, asks, self._now_ns(), cooldown)

    async def _commit(self, outcome: Outcome, guess: bool) -> bool:
        """Write the outcome; False if others were quicker. A guess may rest on what was not read this time."""
        write = Delete(outcome.block) if outcome.vanishes else Update(outcome.block)
        try:
            if self._store.atomic:
                handles = await self._handle_writes(outcome, guess)
                *_, written = await self._store.write(*handles, write)
            else:
                written = await self._commit_in_order(outcome, write)
        except LOST_RACE:
            return False
        if isinstance(written, IPAMBlock):
            self._written[outcome.block.network] = written
        return True

    async def _handle_writes(self, outcome: Outcome, guess: bool) -> list[Write]:
        """Return what the handles' records need.

        A guess takes handles that gain for new, and those that were read by whoever asks for unchanged: most are.
        """
        writes: list[Write] = []
        for handle, change in outcome.handles.items():
            known = outcome.records.get(handle)
            record = known if guess and (known or change > 0) else await self._handle(handle)
            writes += _handle_write(record, counted(record, handle, outcome.block.spec.cidr, change))
        return writes

    async def _commit_in_order(self, outcome: Outcome, write: Update | Delete) -> Resource | None:
        """Write handles that gain, the block, then handles that lose; take the gains back if the block is overtaken.

        They are not taken back when the store did not answer: then the block may well have been written.
        """
        gains = {handle: change for handle, change in outcome.handles.items() if change > 0}
        losses = {handle: change for handle, change in outcome.handles.items() if change < 0}
        await self._count(outcome, gains)
        try:
            (written,) = await self._store.write(write)
        except LOST_RACE:
            back = {handle: -change for handle, change in gains.items()}
            await asyncio.shield(self._count_if_possible(outcome, back))
            raise
        await self._count_if_possible(outcome, losses)
        return written

    async def _count_if_possible(self, outcome: Outcome, changes: Mapping[str, int]) -> None:
        try:
            await self._count(outcome, changes)
        except (DatastoreError, Contention) as failure:
            log.warning(
                "count down the handles %s for block %s: %s; a leak check will find them",
                ", ".join(changes),
                outcome.block.spec.cidr,
                failure,
            )

    async def _count(self, outcome: Outcome, changes: Mapping[str, int]) -> None:
        for handle, change in changes.items():
            await self._count_one(handle, outcome.block.spec.cidr, change)

    async def _count_one(self, handle: str, cidr: str, change: int) -> None:
        for _ in range(ATTEMPTS):
            record = await self._handle(handle)
            try:
                await self._store.write(*_handle_write(record, counted(record, handle, cidr, change)))
            except LOST_RACE:
                continue
            return
        raise Contention(f"count {change:+} for handle {handle} in {cidr}: overtaken {ATTEMPTS} times in a row")

    async def _handle(self, handle: str) -> IPAMHandle | None:
        return await found_or_none(self._store.get(IPAMHandle, handle_name(handle)))


def _handle_write(before: IPAMHandle | None, after: IPAMHandle | None) -> list[Write]:
    """Return the write, if any, that turns one record into the other."""
    match before, after:
        case None, IPAMHandle():
            return [Create(after)]
        case IPAMHandle(), None:
            return [Delete(before)]
        case IPAMHandle(), IPAMHandle():
            return [Update(after)]
        case _:
            return []
