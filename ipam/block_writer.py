"""Writing blocks: one compare-and-swap for all operations that wait for the same block.

Where the store has transactions, handles and block are written together and a crash leaves nothing. Elsewhere each
assignment is two writes (ipam.separate_writes), and a release is the block's write and then the handle's: a crash may
leave a handle that counts too much, or an address in a block of its host that no handle counts, which a release finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import BadRecord
from datastore.fields import Network
from datastore.group_commit import Batcher, to_its_end
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.record import Resource
from datastore.store import Create, Delete, Store, Update, Write
from datastore.watch import key_of
from ipam import batch
from ipam.arrivals import Arrivals
from ipam.batch import (
    Assign,
    AssignAny,
    BatchResult,
    Operation,
    Result,
    Written,
    can_give,
    counted,
    has_companion,
    is_fresh,
)
from ipam.errors import CompanionRefused, Contention, HandleInUse, IpamError
from ipam.handle_writer import HandleWriter, handle_write
from ipam.known_blocks import KnownBlocks
from ipam.names import cidr_name
from ipam.reserved import Reserved
from ipam.separate_writes import SeparateWrites


class MissingBlock(Exception):
    """There is no such block (any more)."""


class _Refused(Exception):
    """Some operations cannot be carried out whatever becomes of the block, and nothing was written."""

    def __init__(self, reasons: Mapping[str, HandleInUse | CompanionRefused]) -> None:
        """reasons: by handle."""
        super().__init__("; ".join(map(str, reasons.values())))
        self.reasons = reasons

    def reason(self, operation: Operation) -> IpamError | None:
        """Return why an operation cannot be carried out; None: it can, as far as is known."""
        reason = self.reasons.get(operation.handle) if operation.handle is not None else None
        concerned = is_fresh(operation) if isinstance(reason, HandleInUse) else has_companion(operation)
        return reason if concerned else None


class BlockWriter:
    """The blocks of one store, as one process changes them."""

    def __init__(
        self,
        store: Store,
        now_ns: Callable[[], int],
        cooldown_seconds: Callable[[], Awaitable[int]],
        arrivals: Arrivals | None = None,
    ) -> None:
        """arrivals: of the requests that this process is asked; None: each is taken to be alone."""
        self._store, self._arrivals = store, arrivals or Arrivals()
        self._now_ns = now_ns
        self._cooldown_seconds = cooldown_seconds
        self.handles = HandleWriter(store)
        self.known = KnownBlocks()
        self._asked: Counter[Network] = Counter()
        self._batches: Batcher[Network, Operation, Written] = Batcher(self._write_batch, self._gather, self._is_alone)
        self._separate = SeparateWrites(self.handles, self._batches.submit, self._batches.waiting)

    async def submit(self, cidr: Network, operation: Operation) -> Result:
        """Return the addresses assigned or released.

        Raises MissingBlock, and the IpamError that refuses the operation. After DatastoreError the operation may have
        been carried out or not: release the handle, whatever it counts.
        """
        wanted = operation.count if isinstance(operation, AssignAny) else 0
        self._asked[cidr] += wanted
        with ExitStack() as asked:
            asked.callback(self._answered, cidr, wanted)
            if self._store.atomic or not isinstance(operation, Assign):
                return (await self._batches.submit(cidr, operation)).addresses
            return await to_its_end(self._assign(cidr, operation, asked.close))

    def _answered(self, cidr: Network, wanted: int) -> None:
        self._asked[cidr] -= wanted

    async def _assign(self, cidr: Network, operation: Assign, answered: Callable[[], None]) -> Result:
        """Assign where handle and block are two writes; a handle is not written for what the block will not give."""
        known = self.known.get(cidr)
        if known is None or not can_give(known, operation):
            await self.look(cidr, operation.only_for)
            known = self.known.get(cidr)
            if known is None:
                raise MissingBlock(f"there is no block {cidr} any more")
            [foreseen] = (await self._applied(known, [operation])).results
            if isinstance(foreseen, Exception):
                raise foreseen
            if not foreseen:
                return ()
        return await self._separate.assign(cidr, operation, answered)

    async def look(self, cidr: Network, host: str | None = None) -> None:
        """Read the block, so that it is known. Raises MissingBlock, ForeignBlock: it is not this host's, BadRecord."""
        await self._batches.submit(cidr, AssignAny("", {}, 0, Reserved(), host))

    def take_in(self, block: IPAMBlock) -> None:
        """Take in a block that was read or claimed, unless this process has written or read a later one."""
        known = self.known.get(block.network)
        if known is None or known.spec.sequence_number < block.spec.sequence_number:
            self._separate.doubt(block.network)
            self._learn(block)

    def room(self, cidr: Network, host: str, reserved: Reserved) -> int | None:
        """Return how many addresses a host may hope for, but for those that others wait for; None: it is not known."""
        free = self.known.free(cidr, host, reserved)
        return free and max(0, free - self._asked[cidr])

    async def _write_batch(self, cidr: Network, operations: Sequence[Operation]) -> Sequence[Written | Exception]:
        """Carry all out but those whose handle, which was to be new, is in use, or whose companion is refused."""
        results: dict[int, Written | Exception] = {}
        while len(results) < len(operations):
            left = {number: one for number, one in enumerate(operations) if number not in results}
            try:
                results |= zip(left, await self._write_all(cidr, [*left.values()]), strict=True)
            except _Refused as found:
                results |= {number: why for number, one in left.items() if (why := found.reason(one))}
        return [results[number] for number in range(len(operations))]

    async def _write_all(self, cidr: Network, operations: Sequence[Operation]) -> Sequence[Written | Exception]:
        """Carry all out. Raises _Refused; nothing was done then."""
        try:
            return await self._written(cidr, operations)
        except BaseException:
            self.known.pop(cidr)
            raise

    async def _written(self, cidr: Network, operations: Sequence[Operation]) -> Sequence[Written | Exception]:
        """Carry all out on the block as it was last known, or else as it is read; so are refusals and full blocks."""
        for attempt in range(ATTEMPTS):
            known = self.known.pop(cidr) if attempt else self.known.get(cidr)
            guess = known is not None and attempt == 0
            before = known if guess else await found_or_none(self._store.get(IPAMBlock, cidr_name(str(cidr))))
            if before is None:
                return [MissingBlock(f"there is no block {cidr}")] * len(operations)
            if known is None or known.revision != before.revision:
                self._separate.doubt(cidr)
            after = await self._applied(before, operations)
            if guess and (after.block is before or any(isinstance(result, Exception) for result in after.results)):
                continue
            if after.block is before:
                self._learn(before)
                return after.written
            await self._separate.count_again(before, operations)
            if await self._commit(after, guess=attempt == 0):
                return after.written
        raise Contention(f"write block {cidr}: lost {ATTEMPTS} races in a row; try again later")

    def _learn(self, block: IPAMBlock) -> None:
        self.known.put(block, self._now_ns())

    def _is_alone(self) -> bool:
        """Whether only one request is under way, and the store may carry out its write without waiting."""
        return self._store.atomic and self._arrivals.is_one

    async def _gather(self, cidr: Network) -> None:
        if self._store.atomic:
            await self._arrivals.lull()
            return
        await self._separate.gathering.enough(cidr)

    async def _applied(self, before: IPAMBlock, operations: Sequence[Operation]) -> BatchResult:
        cooldown = await self._cooldown_seconds() if batch.needs_cooldown(before, operations) else 0
        return batch.apply(before, operations, self._now_ns(), cooldown)

    async def _commit(self, after: BatchResult, guess: bool) -> bool:
        """Write block, handles and companions; False if another writer was faster.

        A guess may rest on records read earlier. Raises _Refused: nothing is written.
        """
        write = Delete(after.block) if after.deletes_block else Update(after.block)
        try:
            if self._store.atomic:
                written = await self._commit_together(after, write, guess)
            else:
                written = await self._commit_in_order(after, write)
        except LOST_RACE:
            await self._require_possible(after.companions)
            return False
        self.known.pop(after.block.network)
        if isinstance(written, IPAMBlock):
            self._learn(written)
        return True

    async def _commit_together(self, after: BatchResult, write: Update | Delete, guess: bool) -> Resource | None:
        handles = await self._handle_writes(after, guess)
        *others, written = await self._store.write(*handles, *after.companions.values(), write)
        for handle in after.handles:
            self.handles.records.forget(handle)
        for other in others:
            if isinstance(other, IPAMHandle):
                self.handles.records.put(other)
        return written

    async def _require_possible(self, companions: Mapping[str, Write]) -> None:
        """Raises _Refused: the store would not take some of these, whatever else is written."""
        refused = {
            handle: CompanionRefused(handle, str(key_of(write.resource)))
            for handle, write in companions.items()
            if not await self._is_possible(write)
        }
        if refused:
            raise _Refused(refused)

    async def _is_possible(self, write: Write) -> bool:
        resource = write.resource
        try:
            there = await found_or_none(self._store.get(type(resource), resource.name, resource.namespace))
        except BadRecord:
            return False
        if isinstance(write, Create):
            return there is None
        return there is not None and resource.revision in (None, there.revision)

    async def _handle_writes(self, after: BatchResult, guess: bool) -> list[Write]:
        """Return the writes of the handles' records.

        When guessing, handles are assumed to be as they were last read or written here, and others to be new: most are.
        Raises _Refused: a handle that was to be new is not.
        """
        writes: list[Write] = []
        used: set[str] = set()
        for handle, change in after.handles.items():
            remembered = None if handle in after.fresh else self.handles.records.get(handle)
            known = after.records.get(handle) or remembered
            try:
                record = known if guess and (known or change > 0) else await self.handles.read(handle)
            except BadRecord:
                if handle in after.fresh:
                    used.add(handle)
                elif change > 0:
                    raise
                continue  # the block says what is assigned; Allocator.release_handle removes such a record
            if record is not None and handle in after.fresh:
                used.add(handle)
            writes += handle_write(record, counted(record, handle, after.block.spec.cidr, change))
        if used:
            raise _Refused({handle: HandleInUse(handle) for handle in used})
        return writes

    async def _commit_in_order(self, after: BatchResult, write: Update | Delete) -> Resource | None:
        """Write the block, then the handles that lose; those that gain are written by `SeparateWrites`."""
        (written,) = await self._store.write(write)
        await self.handles.count_if_possible(after.block.spec.cidr, after.handles, after.records)
        return written
