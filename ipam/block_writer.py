"""Writing blocks: one compare-and-swap for all operations that wait for the same block.

A handle counts an address before the block assigns it and until the block has taken it back, so a crash may leave a
handle that counts too much, never an address that no handle names. Where the store has transactions, handles and block
are written together and nothing is left at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import BadRecord, DatastoreError
from datastore.fields import Network
from datastore.group_commit import Batcher, to_its_end
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.record import Resource
from datastore.store import Create, Delete, Store, Update, Write
from ipam import batch
from ipam import block as blocks
from ipam.batch import Assign, AssignAny, BatchResult, Operation, Result, can_give, counted, is_fresh
from ipam.counted_handles import CountedHandles
from ipam.errors import Contention, HandleInUse, IpamError
from ipam.handle_records import HandleRecords
from ipam.names import cidr_name, handle_name, host_affinity
from ipam.reserved import Reserved

log = logging.getLogger(__name__)

GATHER_SECONDS = 1.0
"""How long the write of a block waits at most for those whose handles are being written by then: one may hang."""


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
        self._cooling: set[Network] = set()
        self._asked: Counter[Network] = Counter()
        self._counted = CountedHandles()
        self._coming: defaultdict[Network, set[asyncio.Future[None]]] = defaultdict(set)
        """The handles that are being written for an address of a block."""
        self._batches: Batcher[Network, Operation, Result] = Batcher(self._write_batch, self._gather)

    async def submit(self, cidr: Network, operation: Operation) -> Result:
        """Return the addresses assigned or released.

        Raises MissingBlock, and the IpamError that refuses the operation. After DatastoreError the operation may have
        been carried out or not: read the handle to find out.
        """
        wanted = operation.count if isinstance(operation, AssignAny) else 0
        self._asked[cidr] += wanted
        try:
            if self._store.atomic or not isinstance(operation, Assign):
                return await self._batches.submit(cidr, operation)
            return await to_its_end(self._assign_in_order(cidr, operation))
        finally:
            self._asked[cidr] -= wanted

    async def look(self, cidr: Network, host: str | None = None) -> None:
        """Read the block, for `last_known`. Raises MissingBlock, ForeignBlock: it is not this host's, BadRecord."""
        await self._batches.submit(cidr, AssignAny("", {}, 0, Reserved(), host))

    def last_known(self, cidr: Network) -> IPAMBlock | None:
        """Return the block as this process last wrote or read it; a hint, since other processes write it too."""
        return self._known.get(cidr)

    def take_in(self, block: IPAMBlock) -> None:
        """Take in a block that was read or claimed, unless this process has written or read a later one."""
        known = self._known.get(block.network)
        if known is None or known.spec.sequence_number < block.spec.sequence_number:
            self._counted.doubt(block.network)
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
        free = blocks.free_count(block, reserved.ordinals(cidr)) if block.spec.unallocated else 0
        return None if not free and cidr in self._cooling else max(0, free - self._asked[cidr])

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
            return [_in_use(one.handle) if is_fresh(one) and one.handle in used else next(done) for one in operations]

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
            if known is None or known.revision != before.revision:
                self._counted.doubt(cidr)
            after = await self._applied(before, operations)
            if guess and (after.block is before or any(isinstance(result, Exception) for result in after.results)):
                continue
            if after.block is before:
                self._learn(before)
                return after.results
            await self._count_again(before, operations)
            if await self._commit(after, guess=attempt == 0):
                return after.results
        raise Contention(f"write block {cidr}: lost {ATTEMPTS} races in a row; try again later")

    def _learn(self, block: IPAMBlock) -> None:
        cidr = block.network
        self._known[cidr] = block
        self._seen_ns[cidr] = self._now_ns()
        (self._cooling.add if blocks.cools_down(block) else self._cooling.discard)(cidr)

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

    async def _assign_in_order(self, cidr: Network, operation: Assign) -> Result:
        """Assign where a handle is written on its own: it counts first, while others do and while blocks are written.

        What the block then does not give is counted back, but not if the store did not answer: it may have given it.
        """
        known = self._known.get(cidr)
        if known is None or not can_give(known, operation):
            await self.look(cidr, operation.only_for)
            known = self._known.get(cidr)
            if known is None:
                raise MissingBlock(f"there is no block {cidr} any more")
            [foreseen] = (await self._applied(known, [operation])).results
            if isinstance(foreseen, Exception):
                raise foreseen
            if not foreseen:
                return ()
        wanted = operation.count if isinstance(operation, AssignAny) else 1
        with self._counted.ahead(cidr, operation.handle, wanted):
            with self._comes(cidr):
                await self.count(operation.handle, str(cidr), wanted, fresh=operation.fresh)
            try:
                found = await self._batches.submit(cidr, replace(operation, fresh=False, counted_by_caller=True))
            except (IpamError, MissingBlock):
                await self._count_if_possible(str(cidr), {operation.handle: -wanted})
                raise
        if len(found) < wanted:
            await self._count_if_possible(str(cidr), {operation.handle: len(found) - wanted})
        return found

    async def _count_again(self, before: IPAMBlock, operations: Sequence[Operation]) -> None:
        """Have the handles count what they are to, where another wrote the block since they did."""
        counting = (one.handle for one in operations if isinstance(one, Assign) and one.counted_by_caller)
        doubted = self._counted.doubted(before.network, counting)
        await asyncio.gather(*(self._count_one_again(before, handle) for handle in doubted))

    async def _count_one_again(self, before: IPAMBlock, handle: str) -> None:
        cidr = before.network
        self.handles.forget(handle)
        record = await self._handle(handle)
        counted = record.spec.block.get(str(cidr), 0) if record else 0
        missing = len(blocks.held_by(before, handle)) + self._counted.of(cidr, handle) - counted
        if missing > 0:
            await self.count(handle, str(cidr), missing, record)
        self._counted.trust(cidr, handle)

    @contextmanager
    def _comes(self, cidr: Network) -> Iterator[None]:
        """Let the block's next write know of an operation that is about to be submitted."""
        coming: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._coming[cidr].add(coming)
        try:
            yield
        finally:
            self._coming[cidr].discard(coming)
            coming.set_result(None)

    async def _gather(self, cidr: Network) -> None:
        """Wait for the operations that are coming: to write a block costs several times what a handle does."""
        if coming := self._coming[cidr]:
            await asyncio.wait(tuple(coming), timeout=GATHER_SECONDS)

    async def _commit_in_order(self, after: BatchResult, write: Update | Delete) -> Resource | None:
        """Write the block, then the handles that lose; those that gain were written by `_assign_in_order`."""
        (written,) = await self._store.write(write)
        await self._count_if_possible(after.block.spec.cidr, after.handles, after.records)
        return written

    async def _count_if_possible(
        self, cidr: str, changes: Mapping[str, int], records: Mapping[str, IPAMHandle] | None = None
    ) -> None:
        """Count all at once. What cannot be counted is left to the leak collector."""
        counts = (self.count(handle, cidr, change, (records or {}).get(handle)) for handle, change in changes.items())
        for handle, failure in zip(changes, await asyncio.gather(*counts, return_exceptions=True), strict=True):
            if failure is not None and not isinstance(failure, DatastoreError | Contention):
                raise failure
            if failure is not None:
                log.warning(
                    "count handle %s down for block %s: %s; the leak collector will correct it", handle, cidr, failure
                )

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
                    raise _in_use(handle) from None
                raise
            self.handles.forget(handle)
            if fresh and record is not None:
                raise _in_use(handle)
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


def _in_use(handle: str) -> HandleInUse:
    return HandleInUse(f"assign {handle}: something is assigned under this handle already")


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
