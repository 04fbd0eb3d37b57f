"""Where to search for an address: which pools, which block next, which block to take over.

Pure. A host's search starts at a place of its own in every pool and goes round once, so that hosts that search at the
same moment seldom want the same block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from random import Random

from msgspec import Struct

from datastore.fields import Network, network
from datastore.kinds.ipam import IPAMBlock, IPAMConfig
from datastore.kinds.pools import IPPool, Use
from datastore.pool_rules import overlap
from ipam import block as blocks
from ipam.errors import BadPool, NoPools
from ipam.names import affine_host, cidr_name
from ipam.reserved import Reserved
from net.address_range import address_range, lies_in

TAKE_OVER_AFTER_SECONDS = 60
"""An empty block claimed more recently is left to its host, which is about to use it."""

DEFAULT_MAX_BLOCKS = 20
"""Blocks of one family per host, where maxBlocksPerHost is not set (as in Calico)."""

Labels = Mapping[str, str]


def pools_for(
    pools: Iterable[IPPool],
    version: int,
    *,
    requested: Sequence[str] = (),
    use: Use = "Workload",
    node: str,
    node_labels: Labels,
    namespace_labels: Labels | None = None,
) -> tuple[IPPool, ...]:
    """Return the pools an address may come from: the requested ones in that order, else all suitable, by name.

    Requesting a pool, by name or CIDR, overrides its selectors and its assignment mode, not its allowed uses.
    Raises BadPool: there is no such pool. NoPools: no pool is left to choose from.
    """
    usable = [pool for pool in sorted(pools, key=_by_name) if _is_usable(pool, version)]
    if requested:
        candidates = [_requested(usable, wanted, version) for wanted in requested]
    else:
        of_node = [pool for pool in usable if pool.spec.assignment_mode != "Manual" and pool.selects_node(node_labels)]
        candidates = [pool for pool in of_node if pool.selects_namespace(namespace_labels or {})]
        if of_node and not candidates and use == "Workload":
            names = ", ".join(pool.name for pool in of_node)
            raise NoPools(
                f"no pool for IPv{version} on node {node}: by its namespaceSelector none of {names} selects the pod's "
                "namespace; change the selector or, on Kubernetes, the labels of the namespace"
            )
    if not candidates:
        faulty = (
            f"; {pool.name} is not used: {pool.fault}" for pool in pools if pool.version == version and pool.fault
        )
        raise NoPools(
            f"no pool for IPv{version} on node {node}: none is enabled and selects it; add or enable an IPPool"
            + "".join(faulty)
        )
    fit = tuple(pool for pool in candidates if pool.allows(use))
    if not fit:
        names = ", ".join(pool.name for pool in candidates)
        raise NoPools(f"no pool for IPv{version} on node {node}: none of {names} allows the use {use}")
    return fit


def pool_of(pools: Iterable[IPPool], cidr: Network) -> IPPool | None:
    """Return the pool that a block or address lies in."""
    return next((pool for pool in pools if lies_in(cidr, pool.network)), None)


def block_around(pool: IPPool, inside: Network) -> Network:
    """Return the block of the pool that an address, given as /32 or /128, lies in."""
    return inside.supernet(new_prefix=pool.block_size)


def own_blocks(claimed: Iterable[Network], pools: Iterable[IPPool]) -> tuple[Network, ...]:
    """Return those of a host's blocks that lie in these pools, in the pools' order."""
    ordered = sorted(claimed, key=address_range)
    return tuple(cidr for pool in pools for cidr in ordered if lies_in(cidr, pool.network))


def block_limit(config: IPAMConfig | None) -> int:
    """Return how many blocks of one family a host may own."""
    return (config.spec.max_blocks_per_host if config else 0) or DEFAULT_MAX_BLOCKS


class Candidates(Struct, frozen=True):
    """A block to claim, or else the blocks that may be taken over, in this order."""

    claim: Network | None = None
    take_over: tuple[IPAMBlock, ...] = ()


def find_block(
    pools: Sequence[IPPool],
    known: Iterable[IPAMBlock],
    host: str,
    reserved: Reserved,
    now_ns: int,
    unread: Collection[str] = (),
) -> Candidates:
    """Return the next block for this host: unclaimed, or its own with room, or empty ones of others.

    Blocks that are wholly reserved, or were claimed within TAKE_OVER_AFTER_SECONDS, are not taken over. unread: names
    of blocks that are there and cannot be read, so may hold anything.
    """
    existing = {block.network: block for block in known}
    empty = []
    for pool in pools:
        shared = shared_with_others(pool, existing)
        for cidr in rotation(pool, host, reserved, now_ns):
            block = existing.get(cidr)
            if shared.covers(cidr) or (unread and cidr_name(str(cidr)) in unread):
                continue
            if block is None:
                return Candidates(claim=cidr)
            if not blocks.has_free(block, reserved.ordinals(cidr)):
                continue
            if affine_host(block.spec.affinity) == host:
                return Candidates(claim=cidr)
            if _may_be_taken_over(block, now_ns):
                empty.append(block)
    return Candidates(take_over=tuple(empty))


def next_unclaimed(
    pools: Sequence[IPPool], host: str, reserved: Reserved, now_ns: int, claimed: Set[Network]
) -> Network | None:
    """Return the next block for this host that is none of these, without a look at the blocks themselves."""
    for pool in pools:
        shared = shared_with_others(pool, claimed)
        for cidr in rotation(pool, host, reserved, now_ns):
            if cidr not in claimed and not shared.covers(cidr):
                return cidr
    return None


def shared_with_others(pool: IPPool, existing: Iterable[Network]) -> Reserved:
    """Return the blocks of this pool that share addresses with one of another size: both would assign them.

    Such a block is left by a pool that was here before, or comes from one that overlaps this one.
    """
    size = pool.block_size
    others = (cidr for cidr in existing if cidr.prefixlen != size and overlap(cidr, pool.network))
    return Reserved.of((cidr if cidr.prefixlen < size else block_around(pool, cidr) for cidr in others), pool.version)


def existing_blocks(
    pools: Sequence[IPPool], known: Iterable[IPAMBlock], host: str, now_ns: int
) -> tuple[IPAMBlock, ...]:
    """Return every block of these pools in the host's order of search, for borrowing."""
    by_pool: dict[str, list[IPAMBlock]] = {}
    for block in known:
        pool = pool_of(pools, block.network)
        if pool:
            by_pool.setdefault(pool.name, []).append(block)
    ordered: list[IPAMBlock] = []
    for pool in pools:
        start = address_range(pool.network)[0] + _start(pool, host, now_ns) * _block_addresses(pool)
        inside = by_pool.get(pool.name, [])
        ordered += sorted(inside, key=lambda block: _distance(block, start))
    return tuple(ordered)


def rotation(pool: IPPool, host: str, reserved: Reserved, now_ns: int) -> Iterator[Network]:
    """Yield every block of the pool that is not wholly reserved, once, starting at the host's place."""
    length, size = pool.block_size, _block_addresses(pool)
    first, last = address_range(pool.network)
    count = (last - first + 1) // size
    start = _start(pool, host, now_ns)
    for low, high in ((start, count), (0, start)):
        index = low
        while index < high:
            base = first + index * size
            reserved_to = reserved.range_end(base)
            if reserved_to is not None and reserved_to >= base + size - 1:
                index = (reserved_to + 1 - first) // size  # a whole reservation in one step: it may span 2⁶⁴ blocks
                continue
            yield network(f"{_text(pool, base)}/{length}")
            index += 1


def fnv1_32(data: bytes) -> int:
    """Return the 32-bit FNV-1 hash: what spreads hosts over a pool."""
    value = 0x811C9DC5
    for byte in data:
        value = (value * 0x01000193 & 0xFFFFFFFF) ^ byte
    return value


def _start(pool: IPPool, host: str, now_ns: int) -> int:
    """Return the index of the first block to try. Blocks of one address are spread by time, not by host."""
    cidr = pool.network
    count = cidr.num_addresses // _block_addresses(pool)
    # The hashes of n1 and n2 differ in a few low bits only, so they seed a generator instead of being the index.
    seed = now_ns if pool.block_size == cidr.max_prefixlen else fnv1_32(host.encode())
    return Random(seed).randrange(count)


def _block_addresses(pool: IPPool) -> int:
    return 1 << pool.network.max_prefixlen - pool.block_size


def _distance(block: IPAMBlock, start: int) -> tuple[bool, int]:
    base = address_range(block.network)[0]
    return base < start, base


def _text(pool: IPPool, number: int) -> str:
    return str(type(pool.network.network_address)(number))


def _may_be_taken_over(block: IPAMBlock, now_ns: int) -> bool:
    releasable = block.spec.affinity is None or affine_host(block.spec.affinity) is not None
    return (
        releasable and blocks.is_empty(block) and blocks.claimed_before(block, now_ns - TAKE_OVER_AFTER_SECONDS * 10**9)
    )


def _by_name(pool: IPPool) -> str:
    return pool.name


def _is_usable(pool: IPPool, version: int) -> bool:
    return pool.version == version and pool.allocatable and pool.network.prefixlen <= pool.block_size


def _requested(pools: Iterable[IPPool], wanted: str, version: int) -> IPPool:
    for pool in pools:
        if wanted in (pool.name, pool.spec.cidr):
            return pool
    raise BadPool(f"pool {wanted} was asked for, but there is no such enabled IPv{version} pool")
