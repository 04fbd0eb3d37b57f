"""Releasing a handle: what its blocks hold for it, and its record.

Where handles are written together with blocks, each block's write has the handle's too. Elsewhere the blocks go first
and the handle is deleted last, by one request. There a block may hold what no handle counts (ipam.separate_writes), so
the host's own blocks are looked into as well, as this process knows them, and read if it does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress

from datastore.cas import ATTEMPTS, LOST_RACE
from datastore.errors import BadRecord
from datastore.fields import Address, Network, network
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.store import Store, Write
from ipam import block as blocks
from ipam.batch import Operation, ReleaseHandle, Result
from ipam.block_writer import BlockWriter
from ipam.errors import Contention
from ipam.held_addresses import HeldAddresses
from ipam.names import handle_name

log = logging.getLogger(__name__)


class HandleRelease:
    """The handles of one store, as one process releases them."""

    def __init__(
        self,
        store: Store,
        writer: BlockWriter,
        held: HeldAddresses,
        release_from: Callable[[Network, Operation], Awaitable[Result]],
    ) -> None:
        """release_from: releases in one block; nothing where there is no such block."""
        self._store, self._writer, self._held, self._release_from = store, writer, held, release_from

    async def release(
        self, handle: str, expected: Collection[Address], companion: Write | None = None
    ) -> list[Address]:
        """Release whatever is assigned under a handle and return it. An unknown handle is no error: it has nothing.

        expected: what is known to be assigned under it; where the host's own blocks hold all of that, its record is not
        read. companion: what is written with the first block that is, where they are written together. Raises
        BadRecord: a block of it cannot be read; what others hold is released all the same. Raises CompanionRefused, and
        with a companion BadRecord where its record cannot be read: nothing was done then.
        """
        known = self._writer.handles.records.get(handle)
        looks_into_own = self._held.of_a_host  # it may become one while this waits
        held = {} if self._store.atomic else await self._held.under(handle)
        if known is None and expected and held.keys() >= set(expected):
            return await self._release_unread(handle, set(held.values()))
        is_unrecorded = known is None and self._writer.handles.unrecorded.take(handle)
        try:
            record = None if is_unrecorded else known or await self._writer.handles.read(handle)
        except BadRecord as unread:
            if companion is not None:
                raise
            log.warning("%s; it is removed, and what blocks hold for it is released", unread)
            return await self._release_unread(handle, await self.holding(handle))
        if self._store.atomic:
            return await self._release_at_once(record, companion) if record else []
        uncounted = set(held.values())
        if record is None and not looks_into_own:
            uncounted |= set(await self.holding(handle))
        return await self._release_in_order(handle, record, uncounted, remembered=known is not None)

    async def _release_at_once(self, record: IPAMHandle, companion: Write | None) -> list[Address]:
        """Release a handle where it is written together with its blocks, which go one after the other."""
        handle, records = record.spec.handle_id, self._writer.handles.records
        freed: list[Address] = []
        done: set[str] = set()
        unread: BadRecord | None = None
        left: IPAMHandle | None = record
        while left is not None and (cidrs := left.spec.block.keys() - done):
            cidr = min(cidrs)
            records.forget(handle)
            operation = ReleaseHandle(handle, left, companion=None if freed else companion)
            try:
                released = await self._release_from(network(cidr), operation)
            except BadRecord as found:
                unread, released = found, ()
            if released:
                freed += released
                left = records.get(handle)
            else:
                done.add(cidr)
        if unread is not None:
            raise unread
        if left is not None:
            await self._delete_empty_handle(left)
        return freed

    async def _release_in_order(
        self, handle: str, record: IPAMHandle | None, uncounted: Collection[Network], remembered: bool
    ) -> list[Address]:
        """Release a handle's blocks, and then delete it, if it is still as it was known or read before.

        What it counts and no block holds is left to the leak collector: an assignment may be between its two writes.
        uncounted: blocks that hold something for it, whether or not it counts them.
        """
        freed: list[Address] = []
        for _ in range(ATTEMPTS):
            counts = {network(cidr): count for cidr, count in record.spec.block.items()} if record else {}
            self._writer.handles.records.forget(handle)
            found = await self._released(ReleaseHandle(handle, record, counted_by_caller=True), {*counts, *uncounted})
            freed += _all(found)
            if record is None:
                return freed
            held = {cidr: len(found[cidr]) for cidr in counts}
            changed = remembered and held != counts
            if held == counts:
                try:
                    await self._store.delete(record)
                    return freed
                except LOST_RACE:
                    changed = True
            for cidr, released in held.items():
                if released:
                    await self._writer.handles.count(handle, str(cidr), -released)
            if not changed:
                return freed
            record, remembered = await self._writer.handles.read(handle), False  # what it counts by now goes as well
            uncounted = ()
        raise Contention(f"release what is assigned under a handle: lost {ATTEMPTS} races in a row")

    async def _release_unread(self, handle: str, cidrs: Iterable[Network]) -> list[Address]:
        """Release what these blocks hold for a handle, and then delete it, whatever its record says."""
        found = await self._released(ReleaseHandle(handle, counted_by_caller=not self._store.atomic), cidrs)
        with suppress(*LOST_RACE):
            await self._store.delete(IPAMHandle.make(handle_name(handle), handle_id=handle, block={}))
        return _all(found)

    async def _released(self, operation: ReleaseHandle, cidrs: Iterable[Network]) -> dict[Network, Result]:
        """Return what each of these blocks held for the handle and does no more."""
        wanted = list(cidrs)
        found = await asyncio.gather(*(self._release_from(cidr, operation) for cidr in wanted))
        return dict(zip(wanted, found, strict=True))

    async def holding(self, handle: str) -> list[Network]:
        """Return the blocks that hold addresses for a handle, found without its record."""
        existing = (await self._store.list(IPAMBlock)).objects
        return [block.network for block in existing if blocks.held_by(block, handle)]

    async def _delete_empty_handle(self, read: IPAMHandle) -> None:
        """Delete a handle that counts addresses no block holds, if it is still as it was before the blocks were read.

        Only where handle and block are written together: elsewhere an assignment may be between its two writes.
        """
        with suppress(*LOST_RACE):
            await self._store.delete(read)


def _all(found: Mapping[Network, Result]) -> list[Address]:
    return [address for released in found.values() for address in released]
