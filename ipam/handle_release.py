"""Releasing a handle: what its blocks hold for it, and its record.

Where handles are written together with blocks, each block's write has the handle's too. Elsewhere the blocks go first
and the handle is deleted last, by one request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import BadRecord
from datastore.fields import Address, Network, network
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.store import Store
from ipam import block as blocks
from ipam.batch import Operation, ReleaseHandle, Result
from ipam.block_writer import BlockWriter
from ipam.errors import Contention
from ipam.names import handle_name

log = logging.getLogger(__name__)


class HandleRelease:
    """The handles of one store, as one process releases them."""

    def __init__(
        self, store: Store, writer: BlockWriter, release_from: Callable[[Network, Operation], Awaitable[Result]]
    ) -> None:
        """release_from: releases in one block; nothing where there is no such block."""
        self._store, self._writer, self._release_from = store, writer, release_from

    async def release(self, handle: str) -> list[Address]:
        """Release whatever is assigned under a handle and return it. An unknown handle is no error: it has nothing.

        Raises BadRecord: a block of it cannot be read; what others hold is released all the same.
        """
        known = self._writer.handles.get(handle)
        try:
            record = known or await self.read(handle)
        except BadRecord as unread:
            log.warning("%s; it is removed, and what blocks hold for it is released", unread)
            return await self._release_unread(handle)
        if record is None:
            return []
        if self._store.atomic:
            return await self._release_at_once(record)
        return await self._release_in_order(record, remembered=known is not None)

    async def _release_at_once(self, record: IPAMHandle) -> list[Address]:
        """Release a handle where it is written together with its blocks."""
        operation = ReleaseHandle(record.spec.handle_id, record)
        found = await asyncio.gather(*(self._release_from(network(cidr), operation) for cidr in record.spec.block))
        if not all(found):
            await self._delete_empty_handle(record)
        return [address for released in found for address in released]

    async def _release_in_order(self, record: IPAMHandle | None, remembered: bool) -> list[Address]:
        """Release a handle's blocks, and then delete it, if it is still as it was known or read before.

        What it counts and no block holds is left to the leak collector: an assignment may be between its two writes.
        """
        freed: list[Address] = []
        for _ in range(ATTEMPTS):
            if record is None:
                return freed
            handle, counts = record.spec.handle_id, dict(record.spec.block)
            self._writer.handles.forget(handle)
            operation = ReleaseHandle(handle, record, counted_by_caller=True)
            found = await asyncio.gather(*(self._release_from(network(cidr), operation) for cidr in counts))
            freed += [address for released in found for address in released]
            held = {cidr: len(released) for cidr, released in zip(counts, found, strict=True)}
            changed = remembered and held != counts
            if held == counts:
                try:
                    await self._store.delete(record)
                    return freed
                except LOST_RACE:
                    changed = True
            for cidr, released in held.items():
                if released:
                    await self._writer.count(handle, cidr, -released)
            if not changed:
                return freed
            record, remembered = await self.read(handle), False  # what it counts by now is released as well
        raise Contention(f"release what is assigned under a handle: lost {ATTEMPTS} races in a row")

    async def _release_unread(self, handle: str) -> list[Address]:
        """Release a handle whose record cannot be read, and remove the record."""
        cidrs = await self.holding(handle)
        found = await asyncio.gather(*(self._release_from(cidr, ReleaseHandle(handle)) for cidr in cidrs))
        with suppress(*LOST_RACE):
            await self._store.delete(IPAMHandle.make(handle_name(handle), handle_id=handle, block={}))
        return [address for released in found for address in released]

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

    async def read(self, handle: str) -> IPAMHandle | None:
        return await found_or_none(self._store.get(IPAMHandle, handle_name(handle)))
