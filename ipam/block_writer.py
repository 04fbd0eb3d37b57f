"""Writing blocks: one compare-and-swap for all operations that wait for the same block.

A handle counts an address before the block assigns it and until the block has taken it back, so a crash may leave a
handle that counts too much, never an address that no handle names. Where the store has transactions, handles and block
are written together and nothing is left at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import BadRecord, DatastoreError
from datastore.fields import Network
from datastore.group_commit import Batcher
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.record import Resource
from datastore.store import Create, Delete, Store, Update, Write
from ipam import batch
from ipam import block as blocks
from ipam.batch import AssignAny, BatchResult, Operation, Result, counted, is_fresh
from ipam.errors import Contention, HandleInUse
from ipam.handle_records import HandleRecords
from ipam.names import cidr_name, handle_name, host_affinity
from ipam.reserved import Reserved

log = logging.getLogger(__name__)


class MissingBlock(Exception):
    """There is no such block (any more)."""


class _HandlesInUse(Exception):
    """These handles were to be new, and are not."""

    def __init__(self, handles: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(handles)))
        self.handles = handles


class BlockWriter:
    """The blocks of one store, as one process changes them."""

    def __init__(self, store: Store, now_ns: Callable[[], int], cooldown_seconds: Callable[[], Awaitable[int]]) -> None:
        self._store = store
        self._now_ns = now_ns
        self._cooldown_seconds = cooldown_seconds
        self.handles = HandleRecords()
        """Where handles are written on their own: as this process last wrote them."""
        self._known: dict[Network, IPAMBlock] = {}
        self._seen_ns: dict[Network, int] = {}
        self._asked: Counter[Network] = Counter()
        self._batches: Batcher[Network, Operation, Result] = Batcher(self._write_batch)

    async def submit(self, cidr: Network, operation: Operation) -> Result:
        """Return the addresses assigned or released.

        Raises MissingBlock, and the IpamError that refuses the operation. After DatastoreError the operation may have
        been carried out or not: read the handle to find out.
        """
        wanted = operation.count if isinstance(operation, AssignAny) else 0
        self._asked[cidr] += wanted
        try:
            return await self._batches.submit(cidr, operation)
        finally:
            self._asked[cidr] -= wanted

    async def look(self, cidr: Network, host: str) -> None:
        """Read the block, for `last_known`. Raises MissingBlock, ForeignBlock: it is not this host's, BadRecord."""
        await self.submit(cidr, AssignAny("", {}, 0, Reserved(), host))

    def last_known(self, cidr: Network) -> IPAMBlock | None:
        """Return the block as this process last wrote or read it; a hint, since other processes write it too."""
        return self._known.get(cidr)

    def take_in(self, block: IPAMBlock) -> None:
        """Take in a block that was read or claimed, unless this process has written or read a later one."""
        known = self._known.get(block.network)
        if known is None or known.spec.sequence_number < block.spec.sequence_number:
            self._learn(block)

    def seen_ns(self, cidr: Network, host: str) -> int:
        """Return when the block was last known to be this host's; 0: it is not known as such."""
        block = self._known.get(cidr)
        return self._seen_ns[cidr] if block and block.spec.affinity == host_affinity(host) else 0

    def room(self, cidr: Network, host: str, reserved: Reserved) -> int | None:
        """Return how many addresses a host may hope for, but for those that others wait for; None: it is not known."""
        block = self._known.get(cidr)
        if block is None:
            return None
        if block.spec.affinity != host_affinity(host):
            return 0
        free = max(0, blocks.free_count(block, reserved.ordinals(cidr)) - self._asked[cidr])
        return None if not free and blocks.cools_down(block) else free

    async def _write_batch(self, cidr: Network, operations: Sequence[Operation]) -> Sequence[Result | Exception]:
        """Carry all out but those whose handle, which was to be new, is in use."""
        used: frozenset[str] = frozenset()
        while True:
            left = [one for one in operations if not (is_fresh(one) and one.handle in used)]
            try:
                done = iter(await self._write_all(cidr, left) if left else ())
            except _HandlesInUse as found:
                used |= found.handles
                continue
            return [
                HandleInUse(f"assign {one.handle}: something is assigned under this handle already")
                if is_fresh(one) and one.handle in used
                else next(done)
                for one in operations
            ]

    async def _write_all(self, cidr: Network, operations: Sequence[Operation]) -> Sequence[Result | Exception]:
        """Carry all out. Raises _HandlesInUse; nothing was done then."""
        try:
            return await self._written(cidr, operations)
        except BaseException:
            self._known.pop(cidr, None)
            raise

    async def _written(self, cidr: Network, operations: Sequence[Operation]) -> Sequence[Result | Exception]:
        """Carry all out on the block as it was last known, or else as it is read; so are refusals and full blocks."""
        for attempt in range(ATTEMPTS):
            known = self._known.pop(cidr, None) if attempt else self._known.get(cidr)
            guess = known is not None and attempt == 0
            before = known if guess else await found_or_none(self._store.get(IPAMBlock, cidr_name(str(cidr))))
            if before is None:
                return [MissingBlock(f"there is no block {cidr}")] * len(operations)
            after = await self._applied(before, operations)
            if guess and (after.block is before or any(isinstance(result, Exception) for result in after.results)):
                continue
            if after.block is before:
                self._learn(before)
                return after.results
            if await self._commit(after, guess=attempt == 0):
                return after.results
        raise Contention(f"write block {cidr}: lost {ATTEMPTS} races in a row; try again later")

    def _learn(self, block: IPAMBlock) -> None:
        self._known[block.network] = block
        self._seen_ns[block.network] = self._now_ns()

    async def _applied(self, before: IPAMBlock, operations: Sequence[Operation]) -> BatchResult:
        cooldown = await self._cooldown_seconds() if batch.needs_cooldown(before, operations) else 0
        return batch.apply(before, operations, self._now_ns(), cooldown)

    async def _commit(self, after: BatchResult, guess: bool) -> bool:
        """Write block and handles; False if another writer was faster. A guess may rest on records read earlier.

        Raises _HandlesInUse: a handle that was to be new is not, and nothing is written.
        """
        write = Delete(after.block) if after.deletes_block else Update(after.block)
        try:
            if self._store.atomic:
                handles = await self._handle_writes(after, guess)
                *_, written = await self._store.write(*handles, write)
            else:
                written = await self._commit_in_order(after, write)
        except LOST_RACE:
            return False
        self._known.pop(after.block.network, None)
        if isinstance(written, IPAMBlock):
            self._learn(written)
        return True

    async def _handle_writes(self, after: BatchResult, guess: bool) -> list[Write]:
        """Return the writes of the handles' records.

        When guessing, handles whose count grows are assumed new, and handles already read unchanged: most are.
        """
        writes: list[Write] = []
        used: set[str] = set()
        for handle, change in after.handles.items():
            known = after.records.get(handle)
            try:
                record = known if guess and (known or change > 0) else await self._handle(handle)
            except BadRecord:
                if handle in after.fresh:
                    used.add(handle)
                elif change > 0:
                    raise
                continue  # the block says what is assigned; Allocator.release_handle removes such a record
            if record is not None and handle in after.fresh:
                used.add(handle)
            writes += _handle_write(record, counted(record, handle, after.block.spec.cidr, change))
        if used:
            raise _HandlesInUse(frozenset(used))
        return writes

    async def _commit_in_order(self, after: BatchResult, write: Update | Delete) -> Resource | None:
        """Write the handles that gain, the block, then the handles that lose; undo the gains if the block lost a race.

        They are not undone when the store did not answer: the block may have been written.
        """
        gains = {handle: change for handle, change in after.handles.items() if change > 0}
        losses = {handle: change for handle, change in after.handles.items() if change < 0}
        await self._gain(after, gains)
        try:
            (written,) = await self._store.write(write)
        except LOST_RACE:
            await asyncio.shield(self._count_if_possible(after, _undone(gains)))
            raise
        await self._count_if_possible(after, losses)
        return written

    async def _gain(self, after: BatchResult, gains: Mapping[str, int]) -> None:
        """Write the handles that gain, all at once. Raises _HandlesInUse; those that had gained are undone then."""
        refused = dict(zip(gains, await self._counted(after, gains), strict=True))
        used = {handle for handle, refusal in refused.items() if isinstance(refusal, HandleInUse)}
        others = [refusal for handle, refusal in refused.items() if refusal is not None and handle not in used]
        if others:
            raise others[0]
        if used:
            done = {handle: change for handle, change in gains.items() if handle not in used}
            await asyncio.shield(self._count_if_possible(after, _undone(done)))
            raise _HandlesInUse(frozenset(used))

    async def _count_if_possible(self, after: BatchResult, changes: Mapping[str, int]) -> None:
        for handle, failure in zip(changes, await self._counted(after, changes), strict=True):
            if failure is not None and not isinstance(failure, DatastoreError | Contention):
                raise failure
            if failure is not None:
                log.warning(
                    "count handle %s down for block %s: %s; the leak collector will correct it",
                    handle,
                    after.block.spec.cidr,
                    failure,
                )

    async def _counted(self, after: BatchResult, changes: Mapping[str, int]) -> Sequence[BaseException | None]:
        """Count all at once; return the failure of each."""
        cidr = after.block.spec.cidr
        counts = (
            self.count(handle, cidr, change, after.records.get(handle), fresh=change > 0 and handle in after.fresh)
            for handle, change in changes.items()
        )
        return await asyncio.gather(*counts, return_exceptions=True)

    async def count(
        self, handle: str, cidr: str, change: int, known: IPAMHandle | None = None, *, fresh: bool = False
    ) -> None:
        """Change how many addresses a handle counts in a block. Raises HandleInUse: it was to be new."""
        for attempt in range(ATTEMPTS):
            guess = attempt == 0 and (known is not None or change > 0)  # as in _handle_writes
            try:
                record = (known or self.handles.get(handle)) if guess else await self._handle(handle)
            except BadRecord:
                if fresh:
                    raise HandleInUse(handle) from None
                raise
            self.handles.forget(handle)
            if fresh and record is not None:
                raise HandleInUse(handle)
            try:
                (written,) = await self._store.write(*_handle_write(record, counted(record, handle, cidr, change))) or (
                    None,
                )
            except LOST_RACE:
                continue
            if isinstance(written, IPAMHandle):
                self.handles.put(written)
            return
        raise Contention(f"count {change:+} for handle {handle} in {cidr}: lost {ATTEMPTS} races in a row")

    async def _handle(self, handle: str) -> IPAMHandle | None:
        return await found_or_none(self._store.get(IPAMHandle, handle_name(handle)))


def _undone(changes: Mapping[str, int]) -> dict[str, int]:
    return {handle: -change for handle, change in changes.items()}


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
