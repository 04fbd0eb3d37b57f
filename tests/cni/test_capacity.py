"""STATUS's question, on values."""

from __future__ import annotations

from ipaddress import ip_network

from cni.capacity import shortage
from datastore.kinds.pools import IPPool
from ipam.room import Room

TINY = IPPool.make("tiny", cidr="10.9.0.0/29", block_size=30)


def test_full_pools_are_named_and_what_is_left_to_do() -> None:
    for strict, left in ((False, "has to borrow one"), (True, "strictAffinity forbids borrowing")):
        known = Room((TINY,), {ip_network("10.9.0.0/29")}, {}, strict=strict, claims=False)
        assert '"tiny" 10.9.0.0/29: its blocks are full' in str(shortage(4, "n1", known))
        assert left in str(shortage(4, "n1", known))


def test_a_pool_with_room_is_enough() -> None:
    full = IPPool.make("full", cidr="10.8.0.0/30", block_size=30)
    assert shortage(4, "n1", Room((full, TINY), {full.network}, {})) is None


def test_disabled_pools_pools_of_the_other_family_and_tunnel_pools_do_not_count() -> None:
    useless = (
        IPPool.make("off", cidr="10.9.0.0/24", disabled=True),
        IPPool.make("six", cidr="fd00::/64"),
        IPPool.make("tunnel", cidr="10.8.0.0/24", allowed_uses=["Tunnel"]),
    )
    assert "no enabled IPv4 pool" in str(shortage(4, "n1", Room(useless, frozenset(), {})))
