"""The operations that wait for one block, and the single new state of block and handles that carries them out.

Pure. The order of the operations is the order of arrival. An operation that is refused gets its exception and leaves
the others untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeGuard

from msgspec import Struct, field

from datastore.fields import Address
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.store import Write
from ipam import block as blocks
from ipam.errors import ForeignBlock, HandleInUse, IpamError, WrongOwner
from ipam.names import handle_name, host_affinity, written_handle
from ipam.reserved import Reserved

Result: TypeAlias = tuple[Address, ...]
"""The addresses that were assigned, or released. Releasing a free address is no error and yields none."""


class AssignAny(Struct, frozen=True):
    """Assign up to `count` addresses, fewer if there are fewer."""

    handle: str
    attributes: Mapping[str, str]
    count: int
    reserved: Reserved
    only_for: str | None = None
    """A host: if the block is not this host's, nothing is assigned and the result is ForeignBlock."""
    fresh: bool = False
    """If the block holds something for the handle, or it has a record, nothing is assigned: HandleInUse."""
    counted_by_caller: bool = False
    """Who writes the handle itself."""
    companion: Callable[[Result], Write] | None = None
    """Returns what is to be written in the same transaction, if the block gives all that is wanted."""


class AssignExactly(Struct, frozen=True):
    """Assign this one address."""

    handle: str
    attributes: Mapping[str, str]
    address: Address
    only_for: str | None = None
    fresh: bool = False
    counted_by_caller: bool = False


class Release(Struct, frozen=True):
    """Release this address, if it is still assigned under this handle and with this sequence (None: any)."""

    address: Address
    handle: str | None = None
    sequence: int | None = None
    counted_by_caller: bool = False
    """Whose handle does not count it."""


class ReleaseHandle(Struct, frozen=True):
    """Release whatever the block holds under a handle; `record` is the handle as it was read.

    counted_by_caller: who writes the handle itself, when all its blocks are done. companion: what is to be written in
    the same transaction, if the block holds something.
    """

    handle: str
    record: IPAMHandle | None = None
    counted_by_caller: bool = False
    companion: Write | None = None


Assign: TypeAlias = AssignAny | AssignExactly
Operation: TypeAlias = Assign | Release | ReleaseHandle


class Written(NamedTuple):
    """What the block's write did for one operation."""

    addresses: Result
    sequence: int
    """That of the addresses, if they were assigned."""


class BatchResult(Struct, frozen=True):
    """One block after a batch, the results in the operations' order, and what its handles must count."""

    block: IPAMBlock
    results: tuple[Result | Exception, ...]
    handles: Mapping[str, int] = field(default_factory=dict)
    """By how much each handle's count for this block changes."""
    records: Mapping[str, IPAMHandle] = field(default_factory=dict)
    """The handles that were read already."""
    fresh: frozenset[str] = frozenset()
    """The handles that are to be new."""
    companions: Mapping[str, Write] = field(default_factory=dict)
    """What else is written, by the handle of the operation that asks for it."""

    sequence: int = 0
    """That of the addresses that are assigned."""

    @property
    def written(self) -> tuple[Written | Exception, ...]:
        return tuple(one if isinstance(one, Exception) else Written(one, self.sequence) for one in self.results)

    @property
    def deletes_block(self) -> bool:
        """True if the block has no owner and its last address was released."""
        return self.block.spec.affinity is None and blocks.is_empty(self.block)


def apply(block: IPAMBlock, operations: Sequence[Operation], now_ns: int, cooldown_seconds: int) -> BatchResult:
    """Return what one write of this block does for all the operations.

    If nothing is to be written, the block comes back as the same object.
    """
    state = blocks.free_cooled_down(block, now_ns, cooldown_seconds)
    results: list[Result | Exception] = []
    handles: dict[str, int] = {}
    companions: dict[str, Write] = {}
    for operation in operations:
        try:
            state, result, handle, count = _apply_one(state, operation, now_ns, cooldown_seconds)
        except IpamError as refusal:
            results.append(refusal)
            continue
        results.append(result)
        if handle is not None and count and not operation.counted_by_caller:
            handles[handle] = handles.get(handle, 0) + count
        if handle is not None and (companion := _companion(operation, result)):
            companions[handle] = companion
    written = any(result for result in results if not isinstance(result, Exception))
    read = {one.handle: one.record for one in operations if isinstance(one, ReleaseHandle) and one.record}
    fresh = frozenset(one.handle for one in operations if is_fresh(one))
    after = blocks.with_next_sequence(state) if written else block
    return BatchResult(after, tuple(results), handles, read, fresh, companions, block.spec.sequence_number)


def can_give(block: IPAMBlock, operation: Assign) -> bool:
    """Whether an assignment would get something from the block as it is; addresses that cool down do not count."""
    if operation.only_for is not None and block.spec.affinity != host_affinity(operation.only_for):
        return False
    match operation:
        case AssignAny(reserved=reserved):
            return blocks.has_free(block, reserved.ordinals(block.network))
        case AssignExactly(address=address):
            return block.spec.allocations[blocks.ordinal_of(block, address)] is None


def is_fresh(operation: Operation) -> TypeGuard[Assign]:
    """Whether an operation is refused where its handle is in use."""
    return isinstance(operation, Assign) and operation.fresh


def has_companion(operation: Operation) -> bool:
    """Whether something else is to be written together with an operation."""
    return isinstance(operation, AssignAny | ReleaseHandle) and operation.companion is not None


def needs_cooldown(block: IPAMBlock, operations: Sequence[Operation]) -> bool:
    """True if the results depend on how long released addresses cool down; those of most assignments do not."""
    releasing = any(isinstance(operation, Release | ReleaseHandle) for operation in operations)
    return releasing or blocks.cools_down(block)


def counted(record: IPAMHandle | None, handle: str, cidr: str, change: int) -> IPAMHandle | None:
    """Return the handle's record after a change of what one block holds for it; None: it holds nothing any more.

    A count never falls below zero: another process may have corrected the record already.
    """
    counts = dict(record.spec.block) if record else {}
    count = counts.get(cidr, 0) + change
    if count > 0:
        counts[cidr] = count
    else:
        counts.pop(cidr, None)
    if not counts:
        return None
    if record is None:
        return IPAMHandle.make(handle_name(handle), handle_id=handle, block=counts, deleted=False)
    return record.with_spec(block=counts)


def _apply_one(
    block: IPAMBlock, operation: Operation, now_ns: int, cooldown_seconds: int
) -> tuple[IPAMBlock, Result, str | None, int]:
    match operation:
        case AssignAny(handle, attributes, count, reserved, only_for):
            _require_affinity(block, only_for, handle)
            _require_new(block, operation)
            after, ordinals = blocks.assign(block, count, handle, attributes, reserved.ordinals(block.network))
            return after, _addresses(block, ordinals), handle, len(ordinals)
        case AssignExactly(handle, attributes, address, only_for):
            _require_affinity(block, only_for, handle)
            _require_new(block, operation)
            after = blocks.assign_at(block, blocks.ordinal_of(block, address), handle, attributes)
            return after, (address,), handle, 1
        case ReleaseHandle(handle):
            ordinals = blocks.held_by(block, handle)
            after = blocks.release(block, ordinals, now_ns, cooldown_seconds) if ordinals else block
            return after, _addresses(block, ordinals), handle, -len(ordinals)
        case Release():
            return _release(block, operation, now_ns, cooldown_seconds)


def _companion(operation: Operation, result: Result) -> Write | None:
    """Return what is written together with an operation that has this result."""
    match operation:
        case AssignAny(count=count, companion=make) if make is not None and len(result) == count:
            return make(result)
        case ReleaseHandle(companion=write) if result:
            return write
    return None


def _release(
    block: IPAMBlock, wanted: Release, now_ns: int, cooldown_seconds: int
) -> tuple[IPAMBlock, Result, str | None, int]:
    ordinal = blocks.ordinal_of(block, wanted.address)
    index = block.spec.allocations[ordinal]
    if index is None or block.spec.attributes[index].released_at is not None:
        return block, (), None, 0
    holder = written_handle(block.spec.attributes[index].handle_id)
    sequence = block.spec.sequence_number_for_allocation.get(str(ordinal), 0)
    if wanted.handle is not None and holder != wanted.handle:
        raise WrongOwner(f"release {wanted.address} of {wanted.handle}: it belongs to {holder} now and is left alone")
    if wanted.sequence is not None and sequence != wanted.sequence:
        raise WrongOwner(
            f"release {wanted.address} of {holder}, allocation {wanted.sequence}:"
            f" it was assigned again as {sequence} and is left alone"
        )
    after = blocks.release(block, (ordinal,), now_ns, cooldown_seconds)
    return after, (wanted.address,), holder, -1


def _require_affinity(block: IPAMBlock, host: str | None, handle: str) -> None:
    if host is not None and block.spec.affinity != host_affinity(host):
        owner = block.spec.affinity or "no host"
        raise ForeignBlock(f"assign {handle} on node {host} from block {block.network}: it belongs to {owner}")


def _require_new(block: IPAMBlock, operation: Assign) -> None:
    if operation.fresh and blocks.holds_for(block, operation.handle):
        raise HandleInUse(operation.handle)


def _addresses(block: IPAMBlock, ordinals: Sequence[int]) -> Result:
    return tuple(blocks.address_of(block, ordinal) for ordinal in ordinals)
