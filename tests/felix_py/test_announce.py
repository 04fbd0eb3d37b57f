"""What we tell the peers: blocks as they are, borrowed addresses one by one, nothing of silent pools."""

from __future__ import annotations

from datastore.kinds.pools import IPPool
from felix_py.announce import rib_out
from felix_py.identity import Addresses
from felix_py.snapshot import Endpoint, EndpointKey, Pool
from net.prefix import Prefix, pack

NODE = Addresses(pack("192.0.2.1"), pack("fd00::1"))
CIDR = "10.65.0.0/16"
POOL = Pool(Prefix.parse(CIDR), IPPool.make("pods", cidr=CIDR))
BLOCK = Prefix.parse("10.65.1.0/26")


def pod(*addresses: str) -> Endpoint:
    return Endpoint(EndpointKey("default", addresses[0]), "id", "cali0", tuple(map(Prefix.parse, addresses)))


def test_a_pod_inside_an_own_block_is_covered_by_the_block() -> None:
    assert set(rib_out([BLOCK], [pod("10.65.1.2")], [POOL], NODE)) == {BLOCK}


def test_a_borrowed_address_goes_out_on_its_own() -> None:
    assert set(rib_out([BLOCK], [pod("10.65.9.2")], [POOL], NODE)) == {BLOCK, Prefix.parse("10.65.9.2/32")}


def test_an_address_outside_all_pools_is_not_announced() -> None:
    assert set(rib_out([BLOCK], [pod("172.16.0.2")], [POOL], NODE)) == {BLOCK}


def test_a_pool_that_is_not_exported_says_nothing() -> None:
    silent = Pool(Prefix.parse(CIDR), IPPool.make("pods", cidr=CIDR, disableBGPExport=True))
    assert not rib_out([BLOCK], [pod("10.65.9.2")], [silent], NODE)


def test_the_next_hop_is_this_nodes_address_of_the_family() -> None:
    block6 = Prefix.parse("fd80::/122")
    told = rib_out([BLOCK, block6], [], [POOL], NODE)
    assert told[BLOCK].next_hop == pack("192.0.2.1")
    assert told[block6].next_hop == pack("fd00::1")
    assert set(rib_out([BLOCK, block6], [], [POOL], Addresses(pack("192.0.2.1"), None))) == {BLOCK}


def test_the_local_preference_is_calicos() -> None:
    assert rib_out([BLOCK], [], [POOL], NODE)[BLOCK].local_preference == 2147482623


def test_a_tunnels_address_goes_out_on_its_own_only_if_it_is_borrowed() -> None:
    own, other = Prefix.parse("10.65.1.9/32"), Prefix.parse("10.65.9.9/32")
    assert set(rib_out([BLOCK], [], [POOL], NODE, [own])) == {BLOCK}
    assert set(rib_out([BLOCK], [], [POOL], NODE, [other])) == {BLOCK, other}
