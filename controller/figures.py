"""How many addresses and blocks each pool and node has, as Calico's metrics count them.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct, field

from datastore.fields import Network
from datastore.kinds.pools import IPPool
from ipam.block import Allocation, allocations
from ipam.leaks import ClusterReading
from ipam.names import affine_host
from net.address_range import lies_in

NO_POOL, NO_NODE, NO_AFFINITY = "no_ippool", "unknown_node", "no_affinity"
"""What Calico's metrics call a pool, a node or an owner that there is not."""

Counts: TypeAlias = Mapping[tuple[str, str], int]
"""By pool and node."""


class Figures(Struct, frozen=True):
    in_use: Counts = field(default_factory=dict)
    borrowed: Counts = field(default_factory=dict)
    """Of those, the ones from a block that is not the node's."""
    blocks: Counts = field(default_factory=dict)
    candidates: Counts = field(default_factory=dict)
    """Addresses that look leaked, whether or not for the whole grace time."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """How many addresses each pool has."""


NO_FIGURES = Figures()


class PoolNames:
    """The pools that blocks lie in."""

    def __init__(self, pools: Iterable[IPPool]) -> None:
        self._pools = sorted(pools, key=lambda pool: -pool.network.prefixlen)
        self._known: dict[Network, str] = {}

    def of(self, block: Network) -> str:
        """Return the name of the narrowest pool that a block lies in."""
        if block not in self._known:
            found = (pool.name for pool in self._pools if lies_in(block, pool.network))
            self._known[block] = next(found, NO_POOL)
        return self._known[block]


def figures(reading: ClusterReading, pools: Iterable[IPPool]) -> Figures:
    """Return the figures of one reading."""
    pools = list(pools)
    names = PoolNames(pools)
    in_use: Counter[tuple[str, str]] = Counter()
    borrowed: Counter[tuple[str, str]] = Counter()
    blocks: Counter[tuple[str, str]] = Counter()
    for block in reading.blocks:
        pool, owner = names.of(block.network), affine_host(block.spec.affinity)
        blocks[pool, owner or NO_AFFINITY] += 1
        for one in allocations(block):
            if not one.released:
                in_use[pool, _node(one)] += 1
                borrowed[pool, _node(one)] += _node(one) not in (owner, NO_NODE)
    candidates = Counter((names.of(one.block), _node(one)) for one in reading.leaks.addresses)
    return Figures(in_use, +borrowed, blocks, candidates, {pool.name: pool.network.num_addresses for pool in pools})


def by_node(counts: Counts) -> dict[str, int]:
    """Return the counts of all pools together."""
    found: Counter[str] = Counter()
    for (_, node), count in counts.items():
        found[node] += count
    return found


def reclaimed(addresses: Iterable[Allocation], pools: Iterable[IPPool]) -> Counter[tuple[str, str]]:
    """Return how many of these addresses are of each pool and node."""
    names = PoolNames(pools)
    return Counter((names.of(one.block), _node(one)) for one in addresses)


def _node(one: Allocation) -> str:
    return one.attributes.get("node") or NO_NODE
