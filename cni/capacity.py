"""Whether one more pod would get an address: what STATUS asks.

Pure.
"""

from __future__ import annotations

from ipam.room import Room


def shortage(version: int, node: str, room: Room) -> str | None:
    """Return why a node may have no address of this family (4 or 6) for one more pod, or None if it has one.

    An answer for a person, not a promise: it is drawn from what the node knows, so reservations and selectors are left
    to the ADD, and nothing is said of what other nodes' blocks have left.
    """
    usable = [pool for pool in room.pools if pool.version == version and pool.allocatable and pool.allows("Workload")]
    if not usable:
        return f"there is no enabled IPv{version} pool for pods"
    if any(map(room.in_pool, usable)):
        return None
    named = ", ".join(f'"{pool.name}" {pool.spec.cidr}' for pool in usable)
    why = "strictAffinity forbids borrowing" if room.strict else "the next pod has to borrow one, if any node has one"
    where = f"node {node} has no IPv{version} address left in pool {named}"
    return f"{where}: its blocks are full, no other is free, and {why}"
