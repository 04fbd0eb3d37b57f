"""Whether one more pod would get an address: what STATUS asks.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from datastore.kinds.ipam import IPAMBlock, IPAMConfig
from datastore.kinds.pools import IPPool
from ipam import block as blocks
from ipam.names import host_affinity


def shortage(
    version: int, node: str, pools: Iterable[IPPool], existing: Collection[IPAMBlock], config: IPAMConfig | None
) -> str | None:
    """Return why no address of this family (4 or 6) is left for the node, or None if one is.

    An answer for a person and a scheduler, not a promise: reservations and selectors are left to the ADD.
    """
    usable = [pool for pool in pools if pool.version == version and pool.allocatable and pool.allows("Workload")]
    if not usable:
        return f"there is no enabled IPv{version} pool for pods"
    strict = config is not None and config.spec.strict_affinity
    for pool in usable:
        inside = [block for block in existing if block.network.version == version and _within(pool, block)]
        if any(blocks.has_free(block) for block in inside if not strict or block.spec.affinity == host_affinity(node)):
            return None
        if len(inside) < 1 << (pool.block_size - pool.network.prefixlen) and (
            config is None or config.spec.auto_allocate_blocks
        ):
            return None
    named = ", ".join(f'"{pool.name}" {pool.spec.cidr}' for pool in usable)
    why = "strictAffinity forbids borrowing from other nodes' blocks" if strict else "no block has an address left"
    return f"no IPv{version} address is left for node {node} in pool {named}: every block is claimed and {why}"


def _within(pool: IPPool, block: IPAMBlock) -> bool:
    first = int(block.network.network_address)
    return int(pool.network.network_address) <= first <= int(pool.network.broadcast_address)
