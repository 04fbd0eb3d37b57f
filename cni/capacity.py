"""Whether one more pod would get an address: what STATUS asks.

Pure.
"""

from __future__ import annotations

from datastore.fields import Network
from datastore.kinds.pools import IPPool
from ipam import block as blocks
from ipam.host_context import Room
from net.address_range import lies_in


def shortage(version: int, node: str, room: Room) -> str | None:
    """Return why a node may have no address of this family (4 or 6) for one more pod, or None if it has one.

    An answer for a person, not a promise: it is drawn from what the node knows, so reservations and selectors are left
    to the ADD, and nothing is said of what other nodes' blocks have left.
    """
    usable = [pool for pool in room.pools if pool.version == version and pool.allocatable and pool.allows("Workload")]
    if not usable:
        return f"there is no enabled IPv{version} pool for pods"
    if any(_has_room(pool, room) for pool in usable):
        return None
    named = ", ".join(f'"{pool.name}" {pool.spec.cidr}' for pool in usable)
    why = "strictAffinity forbids borrowing" if room.strict else "the next pod has to borrow one, if any node has one"
    where = f"node {node} has no IPv{version} address left in pool {named}"
    return f"{where}: its blocks are full, no other is free, and {why}"


def _has_room(pool: IPPool, room: Room) -> bool:
    if any(lies_in(cidr, pool.network) and _has_free(cidr, room) for cidr in room.own):
        return True
    claimed = sum(lies_in(cidr, pool.network) for cidr in room.claimed)
    return room.claims and claimed < 1 << (pool.block_size - pool.network.prefixlen)


def _has_free(cidr: Network, room: Room) -> bool:
    """Whether a block has a free address, as far as is known."""
    block = room.own[cidr]
    return block is None or blocks.has_free(block)
