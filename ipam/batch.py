"""What is asked of one block at the same time, and the single state of block and handles that answers it.

Pure. The order of the asks is the order of arrival. An ask that cannot be met gets its exception and leaves
the others untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from datastore.fields import Address
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from ipam import block as blocks
from ipam.errors import ForeignBlock, IpamError, WrongOwner
from ipam.names import handle_name, host_affinity, written_handle
from ipam.reserved import Reserved


@dataclass(frozen=True, slots=True)
class Assign:
    """Assign up to `count` addresses, fewer if there are fewer."""

    handle: str
    attributes: Mapping[str, str]
    count: int
    reserved: Reserved
    only_for: str | None = None
    """Set: the block must belong to this host, or nothing is assigned and ForeignBlock is the answer."""


@dataclass(frozen=True, slots=True)
class AssignAt:
    """Assign this one address."""

    handle: str
    attributes: Mapping[str, str]
    address: Address
    only_for: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Release this address, if it is still assigned under this handle and with this sequence (None: whichever)."""

    address: Address
    handle: str | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseHandle:
    """Release whatever the block holds under a handle; `record` is the handle as it was read."""

    handle: str
    record: IPAMHandle | None = None


Ask: TypeAlias = Assign | AssignAt | Release | ReleaseHandle
Answer: TypeAlias = tuple[Address, ...]
"""The addresses that were assigned, or released. Releasing what is free is no error, and no address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One block after a batch, the answers in order, and what its handles must count."""

    block: IPAMBlock
    answers: tuple[Answer | Exception, ...]
    handles: Mapping[str, int] = field(default_factory=dict)
    """By how much each handle's count for this block changes."""
    records: Mapping[str, IPAMHandle] = field(default_factory=dict)
    """The handles that were read already."""

    @property
    def vanishes(self) -> bool:
        """True if the block is to be deleted: it is no host's, and its last address has gone."""
        return self.block.spec.affinity is None and blocks.is_empty(self.block)


def serve(block: IPAMBlock, asks: Sequence[Ask], now_ns: int, cooldown_seconds: int) -> Outcome:
    """Return what one write of this block can do for all the asks.

    The block comes back as it was, the same object, if nothing is to be written.
    """
    state = blocks.collect(block, now_ns, cooldown_seconds)
    answers: list[Answer | Exception] = []
    handles: dict[str, int] = {}
    for ask in asks:
        try:
            state, answer, handle, count = _serve_one(state, ask, now_ns, cooldown_seconds)
        except IpamError as refusal:
            answers.append(refusal)
            continue
        answers.append(answer)
        if handle is not None and count:
            handles[handle] = handles.get(handle, 0) + count
    written = any(answer for answer in answers if not isinstance(answer, Exception))
    read = {ask.handle: ask.record for ask in asks if isinstance(ask, ReleaseHandle) and ask.record}
    return Outcome(blocks.advanced(state) if written else block, tuple(answers), handles, read)


def needs_cooldown(block: IPAMBlock, asks: Sequence[Ask]) -> bool:
    """True if the answers depend on how long a released address rests: most assignments do not."""
    releasing = any(isinstance(ask, Release | ReleaseHandle) for ask in asks)
    return releasing or any(attribute.released_at is not None for attribute in block.spec.attributes)


def counted(record: IPAMHandle | None, handle: str, cidr: str, change: int) -> IPAMHandle | None:
    """Return the handle's record after a change of what one block holds for it; None: it holds nothing any more.

    A count that would fall below zero is zero: somebody has tidied up before us.
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


def _serve_one(
    block: IPAMBlock, ask: Ask, now_ns: int, cooldown_seconds: int
) -> tuple[IPAMBlock, Answer, str | None, int]:
    match ask:
        case Assign(handle, attributes, count, reserved, only_for):
            _must_belong(block, only_for, handle)
            kept = reserved.ordinals(block.network)
            after, ordinals = blocks.assign(block, count, handle, attributes, kept)
            return after, _addresses(block, ordinals), handle, len(ordinals)
        case AssignAt(handle, attributes, address, only_for):
            _must_belong(block, only_for, handle)
            after = blocks.assign_at(block, blocks.ordinal_of(block, address), handle, attributes)
            return after, (address,), handle, 1
        case ReleaseHandle(handle):
            ordinals = blocks.held_by(block, handle)
            after = blocks.release(block, ordinals, now_ns, cooldown_seconds) if ordinals else block
            return after, _addresses(block, ordinals), handle, -len(ordinals)
        case Release():
            return _release(block, ask, now_ns, cooldown_seconds)


def _release(
    block: IPAMBlock, ask: Release, now_ns: int, cooldown_seconds: int
) -> tuple[IPAMBlock, Answer, str | None, int]:
    ordinal = blocks.ordinal_of(block, ask.address)
    index = block.spec.allocations[ordinal]
    if index is None or block.spec.attributes[index].released_at is not None:
        return block, (), None, 0
    holder = written_handle(block.spec.attributes[index].handle_id)
    sequence = block.spec.sequence_number_for_allocation.get(str(ordinal), 0)
    if ask.handle is not None and holder != ask.handle:
        raise WrongOwner(f"release {ask.address} of {ask.handle}: it belongs to {holder} now and is left alone")
    if ask.sequence is not None and sequence != ask.sequence:
        raise WrongOwner(
            f"release {ask.address} of {holder}, allocation {ask.sequence}:"
            f" it was assigned anew as {sequence} and is left alone"
        )
    after = blocks.release(block, (ordinal,), now_ns, cooldown_seconds)
    return after, (ask.address,), holder, -1


def _must_belong(block: IPAMBlock, host: str | None, handle: str) -> None:
    if host is not None and block.spec.affinity != host_affinity(host):
        owner = block.spec.affinity or "no host"
        raise ForeignBlock(f"assign {handle} on node {host} from block {block.network}: it belongs to {owner}")


def _addresses(block: IPAMBlock, ordinals: Sequence[int]) -> Answer:
    return tuple(blocks.address_of(block, ordinal) for ordinal in ordinals)
