"""How next hops are reached: through what is in the table, never through themselves, neighbours always directly."""

from __future__ import annotations

import itertools

import pytest

from bgp.speaker import LearnedPath
from felix_py.host.host import Host
from felix_py.routes.fib import Ownership
from felix_py.routes.next_hops import covering
from felix_py.routes.routing import Routing
from felix_py.snapshot import Snapshot
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix, pack, unpack
from tests.felix_py.fakes import ADDRESS, ETH0, FakeKernel

CONNECTED = RouteSpec(2, hops=(NextHop(2),), metric=0, scope=253)
ROUTER = pack("192.0.2.254")
DEFAULT = RouteSpec(3, hops=(NextHop(2, ROUTER),), metric=0)
BLOCK = "10.65.2.0/26"


class Node:
    """Node n1, 192.0.2.1/24, with a router at .254; what it learns is given as prefix and next hop."""

    def __init__(self, *foreign: tuple[str, RouteSpec]) -> None:
        self.kernel = FakeKernel(
            [(Prefix.parse("192.0.2.0/24"), CONNECTED), *((Prefix.parse(prefix), spec) for prefix, spec in foreign)]
        )
        host = Host([pack("192.0.2.1")], "cali")
        host.load([ETH0], [ADDRESS])
        self.routing = Routing(Ownership(), self.kernel, Snapshot("n1"), host, lambda: None)

    async def learn(self, *routes: tuple[str, str], peer: str = "192.0.2.90") -> None:
        for prefix, next_hop in routes:
            self.routing.learn({Prefix.parse(prefix): (LearnedPath(pack(next_hop), peer),)})
            await self.routing.write()

    def gateway(self, prefix: str) -> str | None:
        held = self.kernel.held(Prefix.parse(prefix))
        return unpack(held.hops[0].gateway) if held and held.hops else None

    def hops(self, prefix: str) -> list[tuple[int, str]]:
        """Return device and gateway of each way that the kernel holds."""
        held = self.kernel.held(Prefix.parse(prefix))
        return [(hop.device, unpack(hop.gateway)) for hop in held.hops] if held else []


async def node(*foreign: tuple[str, RouteSpec]) -> Node:
    one = Node(*foreign)
    await one.routing.writer.read_all()
    one.routing.all_learned()
    return one


RACKS = ((BLOCK, "198.51.100.2"), ("198.51.100.0/24", "192.0.2.254"), ("203.0.113.0/24", "198.51.100.9"))


@pytest.mark.parametrize("routes", list(itertools.permutations(RACKS)))
async def test_a_next_hop_is_reached_by_a_learned_route_in_whatever_order_they_come(
    routes: tuple[tuple[str, str], ...],
) -> None:
    one = await node()
    await one.learn(*routes)
    assert [one.gateway(prefix) for prefix, _ in RACKS] == ["192.0.2.254"] * 3
    await one.routing.resolve_next_hops()
    await one.routing.write()
    assert [one.gateway(prefix) for prefix, _ in RACKS] == ["192.0.2.254"] * 3


async def test_when_the_learned_way_to_a_next_hop_goes_the_next_longer_one_is_taken() -> None:
    one = await node(("0.0.0.0/0", DEFAULT))
    await one.learn((BLOCK, "198.51.100.2"), ("198.51.100.0/24", "192.0.2.90"))
    assert one.gateway(BLOCK) == "192.0.2.90"
    one.routing.withdraw([Prefix.parse("198.51.100.0/24")])
    await one.routing.write()
    assert one.gateway(BLOCK) == "192.0.2.254"


@pytest.mark.parametrize("hidden", ["192.0.2.2/32", "192.0.2.0/25"])
async def test_no_learned_route_hides_a_neighbour_on_a_connected_network(hidden: str) -> None:
    one = await node()
    await one.learn((hidden, "192.0.2.90"), (BLOCK, "192.0.2.2"))
    assert one.gateway(BLOCK) == "192.0.2.2"


async def test_a_route_never_leads_through_itself() -> None:
    one = await node()
    await one.learn(("198.51.100.0/24", "198.51.100.2"))
    assert one.gateway("198.51.100.0/24") is None
    await one.learn(("203.0.113.0/24", "198.51.100.7"))  # nor by way of another
    assert one.gateway("203.0.113.0/24") is None
    around = await node()
    await around.learn(("198.51.100.0/24", "203.0.113.1"), ("203.0.113.0/24", "198.51.100.1"))
    assert (around.gateway("198.51.100.0/24"), around.gateway("203.0.113.0/24")) == (None, None)


async def test_neither_this_hosts_own_address_nor_a_blackhole_is_a_way() -> None:
    one = await node(("0.0.0.0/0", DEFAULT), ("198.51.100.0/24", RouteSpec(4, kind=BLACKHOLE, metric=0)))
    await one.learn((BLOCK, "192.0.2.1"), ("203.0.113.0/24", "198.51.100.1"))
    assert (one.gateway(BLOCK), one.gateway("203.0.113.0/24")) == (None, None)


IPV6 = (
    ("2001:db8:1::/64", RouteSpec(2, hops=(NextHop(2),), metric=256)),
    ("2001:db8:2::/64", RouteSpec(2, hops=(NextHop(3),), metric=256)),
    ("fe80::/64", RouteSpec(2, hops=(NextHop(2),), metric=256)),
    ("2001:db8:9::/64", RouteSpec(4, hops=(NextHop(2, pack("2001:db8:1::fe")),), metric=1024)),
)
FAR = "2001:db8:f::/48"


@pytest.mark.parametrize(("peer", "device"), [("2001:db8:1::90", 2), ("2001:db8:2::90", 3)])
async def test_a_link_local_next_hop_is_on_the_link_of_the_peer_that_announced_it(peer: str, device: int) -> None:
    one = await node(*IPV6)
    await one.learn((FAR, "fe80::1"), peer=peer)
    assert one.hops(FAR) == [(device, "fe80::1")]


async def test_one_link_local_address_on_two_links_is_two_next_hops() -> None:
    one = await node(*IPV6)
    both = tuple(LearnedPath(pack("fe80::1"), peer) for peer in ("2001:db8:1::90", "2001:db8:2::90"))
    one.routing.learn({Prefix.parse(FAR): both})
    await one.routing.write()
    assert one.hops(FAR) == [(2, "fe80::1"), (3, "fe80::1")]


@pytest.mark.parametrize("peer", ["2001:db8:9::90", "2001:db8:7::90"])
async def test_a_link_local_next_hop_of_a_peer_that_is_not_on_link_is_not_reachable_and_named_so(peer: str) -> None:
    one = await node(*IPV6)
    one.kernel.reached[pack("2001:db8:9::90")] = NextHop(2, pack("2001:db8:1::fe"))
    await one.learn((FAR, "fe80::1"), peer=peer)
    assert one.hops(FAR) == []
    assert one.routing.unreachable_next_hops() == [f"fe80::1 on the link to {peer}"]


@pytest.mark.parametrize(
    ("next_hop", "way"),
    [("2001:db8:2::7", [(3, "2001:db8:2::7")]), ("2001:db8:9::7", [(2, "2001:db8:1::fe")]), ("2001:db8:8::7", [])],
)
async def test_a_global_next_hop_is_reached_as_the_kernel_would(next_hop: str, way: list[tuple[int, str]]) -> None:
    one = await node(*IPV6)
    one.kernel.reached[pack("2001:db8:9::7")] = NextHop(2, pack("2001:db8:1::fe"))
    await one.learn((FAR, next_hop), peer="2001:db8:1::90")
    assert one.hops(FAR) == way


def test_the_prefixes_that_cover_an_address_are_those_it_lies_in() -> None:
    found = list(covering(pack("10.65.2.1")))
    assert (len(found), str(found[0]), str(found[6]), str(found[-1])) == (
        33,
        "10.65.2.1/32",
        "10.65.2.0/26",
        "0.0.0.0/0",
    )
    assert len(list(covering(pack("fd00::1")))) == 129
