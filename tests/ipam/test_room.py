"""Whether a host has room in a pool, as far as it knows."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from datastore.kinds.pools import IPPool
from ipam import block as blocks
from ipam.room import Room

TINY = IPPool.make("tiny", cidr="10.9.0.0/29", block_size=30)
FIRST, SECOND = ip_network("10.9.0.0/30"), ip_network("10.9.0.4/30")


def room(taken: int | None = 4, *, all_claimed: bool = True, claims: bool = True) -> Room:
    """Return what n1 knows, which owns the first of a pool's two blocks. taken: in it; None: it was not seen yet."""
    own = None if taken is None else blocks.new_block(FIRST, "n1", 1)
    for ordinal in range(taken or 0):
        assert own is not None
        own = blocks.assign_at(own, ordinal, f"h{ordinal}", {})
    return Room((TINY,), {FIRST, SECOND} if all_claimed else {FIRST}, {FIRST: own}, claims=claims)


@pytest.mark.parametrize("known", [room(3), room(None), room(all_claimed=False), room(3, claims=False)])
def test_a_block_of_its_own_or_one_yet_to_be_claimed_is_room(known: Room) -> None:
    assert known.in_pool(TINY)


@pytest.mark.parametrize("known", [room(), room(all_claimed=False, claims=False)])
def test_full_blocks_and_those_that_may_not_be_claimed_are_none(known: Room) -> None:
    assert not known.in_pool(TINY)
    assert known.in_pool(IPPool.make("other", cidr="10.8.0.0/29", block_size=30)) == known.claims
