"""STATUS's question, on values."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from cni.capacity import shortage
from datastore.kinds.pools import IPPool
from ipam import block as blocks
from ipam.host_context import Room

TINY = IPPool.make("tiny", cidr="10.9.0.0/29", block_size=30)
FIRST, SECOND = ip_network("10.9.0.0/30"), ip_network("10.9.0.4/30")


def room(taken: int | None = 4, *, all_claimed: bool = True, strict: bool = False, claims: bool = True) -> Room:
    """Return what n1 knows, which owns the first of a pool's two blocks. taken: in it; None: it was not seen yet."""
    own = None if taken is None else blocks.new_block(FIRST, "n1", 1)
    for ordinal in range(taken or 0):
        assert own is not None
        own = blocks.assign_at(own, ordinal, f"h{ordinal}", {})
    claimed = frozenset({FIRST, SECOND} if all_claimed else {FIRST})
    return Room((TINY,), claimed, {FIRST: own}, strict=strict, claims=claims)


@pytest.mark.parametrize("has_room", [room(3), room(None), room(all_claimed=False), room(3, strict=True, claims=False)])
def test_a_block_of_its_own_or_one_yet_to_be_claimed_is_room(has_room: Room) -> None:
    assert shortage(4, "n1", has_room) is None


def test_full_pools_are_named_and_what_is_left_to_do() -> None:
    assert '"tiny" 10.9.0.0/29: its blocks are full' in str(shortage(4, "n1", room()))
    assert "has to borrow one" in str(shortage(4, "n1", room()))
    assert "strictAffinity forbids borrowing" in str(shortage(4, "n1", room(strict=True)))


def test_blocks_that_may_not_be_claimed_are_no_room() -> None:
    assert shortage(4, "n1", room(all_claimed=False, strict=True, claims=False)) is not None


def test_disabled_pools_pools_of_the_other_family_and_tunnel_pools_do_not_count() -> None:
    useless = (
        IPPool.make("off", cidr="10.9.0.0/24", disabled=True),
        IPPool.make("six", cidr="fd00::/64"),
        IPPool.make("tunnel", cidr="10.8.0.0/24", allowed_uses=["Tunnel"]),
    )
    assert "no enabled IPv4 pool" in str(shortage(4, "n1", Room(useless, frozenset(), {})))
