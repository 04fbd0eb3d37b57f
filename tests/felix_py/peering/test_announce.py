"""What a node announces: blocks as they are, borrowed addresses one by one, nothing of pools that are not exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bgp.speaker import Attributes
from datastore.kinds.pools import IPPool
from felix_py.identity import Addresses
from felix_py.peering.announce import Announceable, rib_out
from felix_py.snapshot import Pool
from net.prefix import Prefix, pack

NODE = Addresses(pack("192.0.2.1"), pack("fd00::1"))
CIDR = "10.65.0.0/16"
POOL = Pool(Prefix.parse(CIDR), IPPool.make("pods", cidr=CIDR))
BLOCK = Prefix.parse("10.65.1.0/26")


def announced(
    *blocks: Prefix, addresses: Iterable[str] = (), pool: Pool = POOL, node: Addresses = NODE
) -> Mapping[Prefix, Attributes]:
    return rib_out(Announceable(blocks, tuple(map(Prefix.parse, addresses)), (pool,), node))


def test_an_address_inside_an_own_block_is_covered_by_the_block() -> None:
    assert set(announced(BLOCK, addresses=["10.65.1.2"])) == {BLOCK}


def test_a_borrowed_address_goes_out_on_its_own() -> None:
    assert set(announced(BLOCK, addresses=["10.65.9.2"])) == {BLOCK, Prefix.parse("10.65.9.2/32")}


def test_an_address_outside_all_pools_is_not_announced() -> None:
    assert set(announced(BLOCK, addresses=["172.16.0.2"])) == {BLOCK}


def test_nothing_of_a_pool_that_is_not_exported_is_announced_and_what_is_borrowed_from_it_is_known() -> None:
    silent = Pool(Prefix.parse(CIDR), IPPool.make("pods", cidr=CIDR, disableBGPExport=True))
    assert not announced(BLOCK, addresses=["10.65.9.2"], pool=silent)
    borrowed = Announceable((BLOCK,), (Prefix.parse("10.65.9.2"),), (silent,), NODE).borrowed()
    assert borrowed == [Prefix.parse("10.65.9.2/32")]


def test_the_next_hop_is_this_nodes_address_of_the_family() -> None:
    block6 = Prefix.parse("fd80::/122")
    both = announced(BLOCK, block6)
    assert both[BLOCK].next_hop == pack("192.0.2.1")
    assert both[block6].next_hop == pack("fd00::1")
    assert set(announced(BLOCK, block6, node=Addresses(pack("192.0.2.1"), None))) == {BLOCK}


def test_the_local_preference_is_calicos() -> None:
    assert announced(BLOCK)[BLOCK].local_preference == 2147482623
