"""STATUS's question, on values."""

from __future__ import annotations

from ipaddress import ip_network

from cni.capacity import shortage
from datastore.kinds.ipam import IPAMBlock, IPAMConfig
from datastore.kinds.pools import IPPool
from ipam import block as blocks

TINY = IPPool.make("tiny", cidr="10.9.0.0/29", block_size=30)


def block(cidr: str, host: str, taken: int = 0) -> IPAMBlock:
    made = blocks.new_block(ip_network(cidr), host, 1)
    for ordinal in range(taken):
        made = blocks.assign_at(made, ordinal, f"h{ordinal}", {})
    return made


def strict(auto: bool = True) -> IPAMConfig:
    return IPAMConfig.make("default", strict_affinity=True, auto_allocate_blocks=auto)


FULL = [block("10.9.0.0/30", "n1", 4), block("10.9.0.4/30", "n2", 4)]
HALF = [block("10.9.0.0/30", "n1", 4), block("10.9.0.4/30", "n2", 1)]


def test_a_block_of_its_own_or_one_yet_to_be_claimed_is_room() -> None:
    assert shortage(4, "n1", [TINY], [block("10.9.0.0/30", "n1", 3)], strict()) is None
    assert shortage(4, "n1", [TINY], FULL[:1], strict()) is None
    assert shortage(4, "n1", [TINY], [], None) is None


def test_a_foreign_block_is_room_only_where_borrowing_is_allowed() -> None:
    assert shortage(4, "n1", [TINY], HALF, None) is None
    assert "strictAffinity" in str(shortage(4, "n1", [TINY], HALF, strict()))


def test_full_pools_are_named() -> None:
    assert '"tiny" 10.9.0.0/29' in str(shortage(4, "n1", [TINY], FULL, None))


def test_blocks_that_may_not_be_claimed_are_no_room() -> None:
    assert shortage(4, "n1", [TINY], FULL[:1], strict(auto=False)) is not None


def test_disabled_pools_pools_of_the_other_family_and_tunnel_pools_do_not_count() -> None:
    useless = [
        IPPool.make("off", cidr="10.9.0.0/24", disabled=True),
        IPPool.make("six", cidr="fd00::/64"),
        IPPool.make("tunnel", cidr="10.8.0.0/24", allowed_uses=["Tunnel"]),
    ]
    assert "no enabled IPv4 pool" in str(shortage(4, "n1", useless, [], None))
