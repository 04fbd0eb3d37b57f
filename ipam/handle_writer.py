"""Writing handles on their own, where the store has no transactions: one compare-and-swap for each change of a count.

A handle counts by block what is assigned under it. A count is a hint for who releases it, and the block is the truth:
what cannot be counted now is left to the leak collector.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import BadRecord, DatastoreError
from datastore.kinds.ipam import IPAMHandle
from datastore.store import Create, Delete, Store, Update, Write
from ipam.batch import counted
from ipam.errors import Contention, HandleInUse
from ipam.handle_records import HandleRecords
from ipam.names import handle_name
from ipam.unrecorded_handles import UnrecordedHandles

log = logging.getLogger(__name__)


class HandleWriter:
    """The handles of one store, as one process changes them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.records = HandleRecords()
        """As this process last wrote them."""
        self.unrecorded = UnrecordedHandles()

    async def read(self, handle: str) -> IPAMHandle | None:
        """Return what there is of a handle. Raises BadRecord."""
        return await found_or_none(self._store.get(IPAMHandle, handle_name(handle)))

    async def count(
        self, handle: str, cidr: str, change: int, known: IPAMHandle | None = None, *, fresh: bool = False
    ) -> None:
        """Change how many addresses a handle counts in a block. Raises HandleInUse: it was to be new."""
        self.unrecorded.writes(handle)
        for attempt in range(ATTEMPTS):
            guess = attempt == 0 and (known is not None or change > 0)  # most handles that gain are new
            try:
                record = (known or self.records.get(handle)) if guess else await self.read(handle)
            except BadRecord:
                if fresh:
                    raise HandleInUse(handle) from None
                raise
            self.records.forget(handle)
            if fresh and record is not None:
                raise HandleInUse(handle)
            try:
                (written,) = await self._store.write(*handle_write(record, counted(record, handle, cidr, change))) or (
                    None,
                )
            except LOST_RACE:
                continue
            if isinstance(written, IPAMHandle):
                self.records.put(written)
            return
        raise Contention(f"count {change:+} for handle {handle} in {cidr}: lost {ATTEMPTS} races in a row")

    async def count_if_possible(
        self, cidr: str, changes: Mapping[str, int], records: Mapping[str, IPAMHandle] | None = None
    ) -> None:
        """Change the counts of several handles in a block at once, each from its record if that was read before."""
        counts = (self.count(handle, cidr, change, (records or {}).get(handle)) for handle, change in changes.items())
        for handle, failure in zip(changes, await asyncio.gather(*counts, return_exceptions=True), strict=True):
            if failure is not None and not isinstance(failure, DatastoreError | Contention):
                raise failure
            if failure is not None:
                log.warning(
                    "count handle %s down for block %s: %s; the leak collector will correct it", handle, cidr, failure
                )


def handle_write(before: IPAMHandle | None, after: IPAMHandle | None) -> list[Write]:
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
