"""One block of addresses: which are free, which are assigned to whom, and the steps from one state to the next.

Pure: a step takes the block's record and returns another. Fields that this version does not know are kept, and so are
the addresses that a Windows host sets aside in its blocks.

An address of a block is counted by its ordinal, from 0. Free ordinals wait in a queue: assigned from its head,
released to its tail, so that the time before an address is assigned again is as long as possible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from datastore.fields import Address, Network, time_text
from datastore.summaries import AnyBlock
from ipam.errors import AlreadyAssigned
from ipam.names import WINDOWS_HANDLE, cidr_name, claim_time_ns, host_affinity, written_handle

if TYPE_CHECKING:  # pydantic comes with it, and who only looks at summaries of blocks needs none
    from datastore.kinds.ipam import AllocationAttribute, IPAMBlock

_NOBODY: Mapping[str, str] = MappingProxyType({})


class Allocation(NamedTuple):
    """One address in use. `sequence` tells this allocation from an earlier one of the same address."""

    address: Address
    handle: str | None
    attributes: Mapping[str, str]
    sequence: int
    block: Network
    released: bool = False
    """Released and cooling down: neither assigned nor free yet."""
    alternate: Mapping[str, str] = _NOBODY
    """The attributes of a second owner, to whom the first may hand it over, as a virtual machine that moves."""


def new_block(cidr: Network, host: str, now_ns: int) -> IPAMBlock:
    """Return a new block of this host, all its addresses free.

    Its sequence starts at the time, never at 0: a release meant for an earlier life of the block must not match.
    """
    from datastore.kinds.ipam import IPAMBlock

    return IPAMBlock.make(
        cidr_name(str(cidr)),
        cidr=str(cidr),
        affinity=host_affinity(host),
        affinity_claim_time=time_text(now_ns),
        allocations=(None,) * cidr.num_addresses,
        unallocated=tuple(range(cidr.num_addresses)),
        attributes=(),
        sequence_number=now_ns,
        sequence_number_for_allocation={},
        strict_affinity=False,
        deleted=False,
    )


def address_of(block: AnyBlock, ordinal: int) -> Address:
    return block.network[ordinal]


def ordinal_of(block: IPAMBlock, address: Address) -> int:
    return int(address) - int(block.network.network_address)


def has_free(block: IPAMBlock, reserved: Collection[int] = ()) -> bool:
    """True if an address could be assigned without naming it."""
    return any(ordinal not in reserved for ordinal in block.spec.unallocated)


def free_count(block: IPAMBlock, reserved: Collection[int] = ()) -> int:
    """Return how many addresses could be assigned without naming them."""
    return sum(ordinal not in reserved for ordinal in block.spec.unallocated)


def cools_down(block: IPAMBlock) -> bool:
    """True if released addresses of it wait for the end of their cooldown."""
    return any(attribute.released_at is not None for attribute in block.spec.attributes)


def is_empty(block: AnyBlock) -> bool:
    """True if no address is in use. A Windows host's own reservations do not count, addresses cooling down do."""
    attributes = block.spec.attributes
    return all(
        index is None
        or (0 <= index < len(attributes) and written_handle(attributes[index].handle_id) == WINDOWS_HANDLE)
        for index in block.spec.allocations
    )


def allocations(block: AnyBlock) -> Iterator[Allocation]:
    """Yield the addresses in use, in ascending order; not those of a broken record that names no owner for them."""
    cidr, spec = block.network, block.spec
    address, first = type(cidr.network_address), int(cidr.network_address)
    for ordinal, index in enumerate(spec.allocations[: cidr.num_addresses]):
        if index is not None and 0 <= index < len(spec.attributes):
            attribute = spec.attributes[index]
            yield Allocation(
                address(first + ordinal),
                written_handle(attribute.handle_id),
                attribute.secondary or {},
                spec.sequence_number_for_allocation.get(str(ordinal), 0),
                cidr,
                attribute.released_at is not None,
                attribute.alternate_owner or _NOBODY,
            )


def assigned_in(blocks: Iterable[AnyBlock]) -> tuple[Allocation, ...]:
    """Return the addresses that are assigned, block by block: not those that cool down after a release."""
    return tuple([one for block in blocks for one in allocations(block) if not one.released])


def holds_for(block: AnyBlock, handle: str) -> bool:
    """True if an address is assigned under a handle."""
    return any(
        owner.handle_id is not None
        and owner.handle_id.startswith(handle)  # it is asked often, and most owners are others
        and written_handle(owner.handle_id) == handle
        and owner.released_at is None
        for owner in block.spec.attributes
    )


def holders(block: AnyBlock) -> frozenset[str]:
    """Return the handles under which addresses are assigned."""
    owners = (owner for owner in block.spec.attributes if owner.released_at is None)
    return frozenset(handle for owner in owners if (handle := written_handle(owner.handle_id)) is not None)


def held_by(block: IPAMBlock, handle: str) -> tuple[int, ...]:
    """Return the ordinals assigned under a handle."""
    held = {
        index
        for index, attribute in enumerate(block.spec.attributes)
        if (holder := attribute.handle_id) is not None
        and holder.startswith(handle)  # as in holds_for
        and written_handle(holder) == handle
        and attribute.released_at is None
    }
    return tuple(ordinal for ordinal, index in enumerate(block.spec.allocations) if index in held)


def assign(
    block: IPAMBlock, wanted: int, handle: str, attributes: Mapping[str, str], reserved: Collection[int] = ()
) -> tuple[IPAMBlock, tuple[int, ...]]:
    """Assign up to `wanted` addresses from the head of the queue; reserved ones keep their place in it."""
    chosen = tuple(ordinal for ordinal in block.spec.unallocated if ordinal not in reserved)[:wanted]
    return (_taken(block, chosen, handle, attributes) if chosen else block), chosen


def assign_at(block: IPAMBlock, ordinal: int, handle: str, attributes: Mapping[str, str]) -> IPAMBlock:
    """Assign one given address. Reservations bind automatic choice only, not this.

    Raises AlreadyAssigned: it is assigned, or cools down after a release.
    """
    index = block.spec.allocations[ordinal]
    if index is not None:
        holder = block.spec.attributes[index]
        state = "cools down after its release" if holder.released_at else f"belongs to {holder.handle_id}"
        raise AlreadyAssigned(f"assign {address_of(block, ordinal)} to {handle}: it {state}; choose another")
    return _taken(block, (ordinal,), handle, attributes)


def release(block: IPAMBlock, ordinals: Sequence[int], now_ns: int = 0, cooldown_seconds: int = 0) -> IPAMBlock:
    """Free these addresses, or let them cool down first where the cluster sets a cooldown.

    A freed ordinal loses its sequence entry too: it belonged to the allocation that ends.
    """
    return _cooling_down(block, ordinals, now_ns) if cooldown_seconds else _freed(block, ordinals)


def free_cooled_down(block: IPAMBlock, now_ns: int, cooldown_seconds: int) -> IPAMBlock:
    """Free the addresses that have cooled down, lowest first; the block itself if there are none."""
    cooled_down = {
        index
        for index, attribute in enumerate(block.spec.attributes)
        if attribute.released_at is not None
        and claim_time_ns(attribute.released_at) <= now_ns - cooldown_seconds * 10**9
    }
    if not cooled_down:
        return block
    return _freed(block, [ordinal for ordinal, index in enumerate(block.spec.allocations) if index in cooled_down])


def with_next_sequence(block: IPAMBlock) -> IPAMBlock:
    """Return what a write of this block must hold: every write moves the sequence on."""
    return block.with_spec(sequence_number=block.spec.sequence_number + 1)


def without_affinity(block: IPAMBlock) -> IPAMBlock:
    """Return the block without its host; it disappears with its last address."""
    return block.with_spec(affinity=None, affinity_claim_time=None)


def claimed_before(block: IPAMBlock, moment_ns: int) -> bool:
    """True if the block was claimed before this moment; one that does not say when counts as old."""
    claimed = block.spec.affinity_claim_time
    return claimed is None or claim_time_ns(claimed) < moment_ns


def faults(block: AnyBlock, now_ns: int | None = None) -> tuple[str, ...]:
    """Return what is wrong with a block's record in itself; empty for a sound one."""
    spec, found = block.spec, []
    size = block.network.num_addresses
    if len(spec.allocations) != size:
        found.append(f"it has {len(spec.allocations)} slots for {size} addresses")
    used = {index for index in spec.allocations if index is not None}
    if out_of_range := sorted(index for index in used if not 0 <= index < len(spec.attributes)):
        found.append(f"allocations name attributes that do not exist: {out_of_range}")
    if unused := sorted(set(range(len(spec.attributes))) - used):
        found.append(f"attributes are used by no allocation: {unused}")
    queue = set(spec.unallocated)
    if len(queue) != len(spec.unallocated):
        found.append("the queue of free addresses holds one twice")
    if stray := sorted(ordinal for ordinal in queue if not 0 <= ordinal < size):
        found.append(f"the queue of free addresses leaves the block: {stray}")
    both = sorted(o for o, index in enumerate(spec.allocations) if index is not None and o in queue)
    if both:
        found.append(f"assigned and free at once: {both}")
    if neither := sorted(o for o, index in enumerate(spec.allocations) if index is None and o not in queue):
        found.append(f"neither assigned nor free: {neither}")
    if now_ns is not None and any(
        attribute.released_at is not None and claim_time_ns(attribute.released_at) > now_ns + 10**9
        for attribute in spec.attributes
    ):
        found.append("an address was released in the future")
    return tuple(found)


def _taken(block: IPAMBlock, ordinals: Sequence[int], handle: str, attributes: Mapping[str, str]) -> IPAMBlock:
    """Assign free ordinals; owners that are the same down to the last attribute share one entry."""
    from datastore.kinds.ipam import AllocationAttribute

    spec = block.spec
    owners = spec.attributes
    index = next((i for i, owner in enumerate(owners) if _is_owner(owner, handle, attributes)), len(owners))
    if index == len(owners):
        owners = (*owners, AllocationAttribute(handle_id=handle, secondary=dict(attributes)))
    slots = list(spec.allocations)
    for ordinal in ordinals:
        slots[ordinal] = index
    return block.with_spec(
        allocations=tuple(slots),
        unallocated=tuple(ordinal for ordinal in spec.unallocated if ordinal not in ordinals),
        attributes=owners,
        sequence_number_for_allocation={
            **spec.sequence_number_for_allocation,
            **dict.fromkeys(map(str, ordinals), spec.sequence_number),
        },
    )


def _is_owner(owner: AllocationAttribute, handle: str, attributes: Mapping[str, str]) -> bool:
    return owner.handle_id == handle and owner.released_at is None and (owner.secondary or {}) == dict(attributes)


def _freed(block: IPAMBlock, ordinals: Sequence[int]) -> IPAMBlock:
    spec = block.spec
    slots, freed = list(spec.allocations), frozenset(map(str, ordinals))
    for ordinal in ordinals:
        slots[ordinal] = None
    allocations, owners = _compacted(slots, spec.attributes)
    return block.with_spec(
        allocations=allocations,
        unallocated=(*spec.unallocated, *ordinals),
        attributes=owners,
        sequence_number_for_allocation={
            ordinal: sequence
            for ordinal, sequence in spec.sequence_number_for_allocation.items()
            if ordinal not in freed
        },
    )


def _cooling_down(block: IPAMBlock, ordinals: Sequence[int], now_ns: int) -> IPAMBlock:
    from datastore.kinds.ipam import AllocationAttribute

    spec = block.spec
    slots, nobody = list(spec.allocations), AllocationAttribute(releasedAt=time_text(now_ns))
    for ordinal in ordinals:
        slots[ordinal] = len(spec.attributes)
    allocations, owners = _compacted(slots, (*spec.attributes, nobody))
    return block.with_spec(allocations=allocations, attributes=owners)


def _compacted(
    slots: Sequence[int | None], owners: tuple[AllocationAttribute, ...]
) -> tuple[tuple[int | None, ...], tuple[AllocationAttribute, ...]]:
    """Return both without the owners that no slot names, and the rest numbered anew."""
    used = sorted({index for index in slots if index is not None})
    if len(used) == len(owners):
        return tuple(slots), owners
    number: dict[int | None, int | None] = {None: None} | {old: new for new, old in enumerate(used)}
    return tuple(map(number.__getitem__, slots)), tuple(owners[index] for index in used)
