"""Static routes to peers (`reachableBy`): of which peers, by which way, and what is reached through them."""

from __future__ import annotations

from typing import Any

from bgp.speaker import LearnedPath
from datastore.kinds.bgp import BGPPeer
from datastore.store import Changed
from felix_py.routes.fib import Ownership
from felix_py.routes.static_routes import gateways, static_routes
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import node
from tests.felix_py.routes.test_routing import Routes

PEER, GATEWAY = "198.51.100.9", pack("192.0.2.254")
HOST, FAR = Prefix.parse(f"{PEER}/32"), Prefix.parse("203.0.113.0/24")
CONNECTED = RouteSpec(2, hops=(NextHop(2),), metric=0, scope=253)
STATIC = RouteSpec(80, hops=(NextHop(2, GATEWAY),), metric=1030)


def peer(name: str = "far", address: str = PEER, by: str | None = "192.0.2.254", **spec: Any) -> BGPPeer:
    return BGPPeer.make(name, peerIP=address, asNumber=65001, reachableBy=by, **spec)


def test_a_peer_that_names_a_gateway_has_one() -> None:
    assert gateways([peer(), peer("near", "192.0.2.9", None)], node()) == {HOST: GATEWAY}
    six = Prefix.parse("2001:db8:9::9/128")
    assert gateways([peer("six", "[2001:db8:9::9]:1179", "2001:db8::1")], node()) == {six: pack("2001:db8::1")}


def test_only_the_nodes_that_have_the_session_have_the_route() -> None:
    assert gateways([peer(node="n2"), peer("b", "198.51.100.8", nodeSelector="rack == 'b'")], node()) == {}
    assert gateways([peer(node="n1")], node()) == {HOST: GATEWAY}
    assert gateways([peer()], None) == {}


def test_of_two_peers_with_one_address_the_one_that_has_the_session_counts() -> None:
    other = peer("a", by="192.0.2.253", node="n1")
    assert gateways([other, peer("z")], node()) == {HOST: GATEWAY}
    assert gateways([other, peer("z", by=None)], node()) == {}


def test_neither_to_ourselves_nor_by_a_link_local_address_is_there_a_route() -> None:
    assert gateways([peer(address="192.0.2.1"), peer("six", "2001:db8:9::9", "fe80::1")], node()) == {}
    four = gateways([peer(by="169.254.7.1")], node())
    assert four == {HOST: pack("169.254.7.1")}, "an IPv4 address is one machine's"


def test_a_gateway_that_is_on_no_link_leaves_the_route_without_a_way() -> None:
    wanted = {HOST: GATEWAY, FAR: pack("10.9.9.9")}
    found = static_routes(wanted, {GATEWAY: NextHop(2, GATEWAY)}.get, Ownership())
    assert found == {HOST: STATIC, FAR: RouteSpec(80, hops=(), metric=1030)}


async def routes_with(*peers: BGPPeer) -> Routes:
    one = Routes(*peers)
    one.kernel.routes[Prefix.parse("192.0.2.0/24"), 0] = CONNECTED
    await one.routing.writer.read_all()
    await one.routing.state_static()
    return one


async def test_the_route_is_written_and_goes_with_its_peer() -> None:
    one = await routes_with(peer())
    await one.routing.allow_local_removal()
    await one.routing.write()
    assert one.kernel.held(HOST) == STATIC
    one.snapshot.fold(Changed(peer(by=None)))
    await one.routing.state_static()
    await one.routing.write()
    assert one.kernel.held(HOST) is None


async def test_what_a_peer_announces_with_itself_as_next_hop_is_reached_by_its_gateway() -> None:
    for address in (PEER, "192.0.2.9"):  # on a connected network too: so it was asked for
        one = await routes_with(peer(address=address))
        one.routing.learn({FAR: (LearnedPath(pack(address), address),)})
        best = one.routing.rib.best(FAR)
        assert best is not None
        assert best.hops == (NextHop(2, GATEWAY),)


async def test_a_gateway_behind_another_router_is_named_as_unreachable_until_it_is_on_a_link() -> None:
    far = pack("10.9.9.9")
    one = await routes_with(peer(by="10.9.9.9"))
    one.kernel.reached[far] = NextHop(2, GATEWAY)
    await one.routing.state_static()
    assert one.routing.rib.best(HOST) is None
    assert one.routing.unreachable_next_hops() == ["10.9.9.9"]
    one.kernel.reached[far] = NextHop(2, far)
    await one.routing.state_static()
    assert one.routing.unreachable_next_hops() == []
    assert one.routing.rib.best(HOST) == RouteSpec(80, hops=(NextHop(2, far),), metric=1030)


async def test_gateways_that_are_peers_with_gateways_of_their_own_are_reached_on_their_link() -> None:
    chained = peer("near", "192.0.2.254", "192.0.2.253")
    for order in ([peer(), chained], [chained, peer()]):
        one = await routes_with(*order)
        for _ in range(2):
            await one.routing.state_static()
            assert one.routing.rib.best(HOST) == STATIC
