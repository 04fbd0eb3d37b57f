"""What each source wants of the kernel."""

from __future__ import annotations

from bgp.speaker import LearnedPath, LearnedPaths
from felix_py.routes.fib import Ownership
from felix_py.routes.next_hops import NextHopKey
from felix_py.routes.rib import Rib, Source
from felix_py.routes.sources import KEPT_NEXT_HOPS, LearnedRoutes, PodRoutes, block_routes
from felix_py.snapshot import Endpoint, EndpointKey
from kernel.route import NextHop
from net.prefix import Prefix, pack

BLOCK = Prefix.parse("10.65.1.0/26")
ROUTER = pack("192.0.2.1")
VIA_ROUTER = NextHopKey(ROUTER)


def test_a_route_that_only_changes_its_peer_changes_nothing_in_the_rib() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    learned.resolved(rib, {VIA_ROUTER: NextHop(2, ROUTER)})
    learned.put(rib, {BLOCK: (LearnedPath(ROUTER, "192.0.2.8"),)})
    rib.take_changed()
    learned.put(rib, {BLOCK: (LearnedPath(ROUTER, "192.0.2.8"), LearnedPath(ROUTER, "192.0.2.9"))})
    assert not rib.changed
    assert rib.wanted(Source.LEARNED)[BLOCK].hops == (NextHop(2, ROUTER),)
    assert [path.peer for path in learned.routes[BLOCK]] == ["192.0.2.8", "192.0.2.9"]


def pod(*addresses: str, device: str = "cali0", name: str = "web") -> Endpoint:
    return Endpoint(EndpointKey("default", name), "id", device, tuple(map(Prefix.parse, addresses)))


def test_a_pods_routes_are_by_its_device_with_link_scope_in_ipv4() -> None:
    rib, pods = Rib(), PodRoutes(Ownership())
    web = pod("10.65.1.2/32", "fd80::2/128")
    pods.update(rib, web.key, web, {"cali0": 7})
    wanted = rib.wanted(Source.PODS)
    four, six = wanted[Prefix.parse("10.65.1.2")], wanted[Prefix.parse("fd80::2")]
    assert (four.hops, four.scope, four.protocol) == ((NextHop(7),), 253, 80)
    assert (six.hops, six.scope) == ((NextHop(7),), 0)


def test_a_pod_whose_device_is_not_there_wants_its_route_all_the_same() -> None:
    rib, pods = Rib(), PodRoutes(Ownership())
    web = pod("10.65.1.2/32")
    pods.update(rib, web.key, web, {})
    assert [prefix for _, prefix in rib.unresolved()] == list(web.addresses)
    pods.update(rib, web.key, web, {"cali0": 7})
    assert not list(rib.unresolved())


def test_a_pod_is_without_device_only_while_it_has_addresses() -> None:
    rib, pods = Rib(), PodRoutes(Ownership())
    web, ended = pod("10.65.1.2"), pod()
    for endpoint, devices in ((web, {}), (ended, {}), (web, {}), (web, {"cali0": 7})):
        pods.update(rib, web.key, endpoint, devices)
        assert pods.without_device == ({web.key: web} if endpoint is web and not devices else {})


def test_a_pod_that_is_gone_or_changed_takes_back_what_it_wanted() -> None:
    rib, pods = Rib(), PodRoutes(Ownership())
    web = pod("10.65.1.2/32", "10.65.1.3/32")
    pods.update(rib, web.key, web, {"cali0": 7})
    pods.update(rib, web.key, pod("10.65.1.3/32"), {"cali0": 7})
    assert set(rib.wanted(Source.PODS)) == {Prefix.parse("10.65.1.3")}
    pods.update(rib, web.key, None, {"cali0": 7})
    assert not rib.wanted(Source.PODS)


def test_an_address_that_another_pod_has_by_now_stays_with_it() -> None:
    rib, pods = Rib(), PodRoutes(Ownership())
    old, new = pod("10.65.1.2/32", name="old"), pod("10.65.1.2/32", device="cali1", name="new")
    pods.update(rib, old.key, old, {"cali0": 7})
    pods.update(rib, new.key, new, {"cali1": 8})
    pods.update(rib, old.key, None, {"cali1": 8})
    assert rib.wanted(Source.PODS)[Prefix.parse("10.65.1.2")].hops == (NextHop(8),)


def test_of_two_pods_with_one_address_the_others_route_comes_back_when_one_goes() -> None:
    for first_to_go in ("old", "new"):
        rib, pods = Rib(), PodRoutes(Ownership())
        old, new = pod("10.65.1.2/32", name="old"), pod("10.65.1.2/32", device="cali1", name="new")
        devices = {"cali0": 7, "cali1": 8}
        pods.update(rib, old.key, old, devices)
        pods.update(rib, new.key, new, devices)
        pods.update(rib, old.key, old, devices)  # its device has changed somehow: the newest keeps the route
        assert rib.wanted(Source.PODS)[Prefix.parse("10.65.1.2")].hops == (NextHop(8),)
        goes, stays = (old, 8) if first_to_go == "old" else (new, 7)
        pods.update(rib, goes.key, None, devices)
        assert rib.wanted(Source.PODS)[Prefix.parse("10.65.1.2")].hops == (NextHop(stays),)
        pods.update(rib, (new if goes is old else old).key, None, devices)
        assert not rib.wanted(Source.PODS)


def test_a_block_has_a_blackhole_unless_it_is_a_single_address() -> None:
    single = Prefix.parse("10.65.1.9/32")
    assert set(block_routes([BLOCK, single], Ownership())) == {BLOCK}


def learned_from(router: bytes) -> dict[Prefix, LearnedPaths]:
    return {BLOCK: (LearnedPath(router, "192.0.2.8"),)}


def test_a_learned_route_is_unresolved_until_its_next_hop_is_reached() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    assert learned.unknown(learned_from(ROUTER).values()) == {VIA_ROUTER}
    learned.resolved(rib, {VIA_ROUTER: None})
    learned.put(rib, learned_from(ROUTER))
    assert learned.unreachable() == {VIA_ROUTER}
    assert rib.best(BLOCK) is None
    learned.resolved(rib, {VIA_ROUTER: NextHop(2, ROUTER)})
    best = rib.best(BLOCK)
    assert best is not None
    assert best.hops == (NextHop(2, ROUTER),)
    assert not learned.unreachable()


def test_a_next_hop_that_moves_to_another_device_moves_its_routes_only() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    other = pack("192.0.2.2")
    learned.resolved(rib, {VIA_ROUTER: NextHop(2, ROUTER), NextHopKey(other): NextHop(2, other)})
    learned.put(rib, learned_from(ROUTER) | {Prefix.parse("10.66.0.0/26"): (LearnedPath(other, "192.0.2.2"),)})
    rib.take_changed()
    learned.resolved(rib, {VIA_ROUTER: NextHop(3, ROUTER), NextHopKey(other): NextHop(2, other)})
    assert set(rib.take_changed()) == {BLOCK}


def test_of_several_next_hops_those_that_are_reached_are_used() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    other = pack("192.0.2.2")
    learned.resolved(rib, {VIA_ROUTER: NextHop(2, ROUTER), NextHopKey(other): None})
    learned.put(rib, {BLOCK: (LearnedPath(ROUTER, "192.0.2.8"), LearnedPath(other, "192.0.2.9"))})
    best = rib.best(BLOCK)
    assert best is not None
    assert best.hops == (NextHop(2, ROUTER),)


def test_a_next_hop_that_one_route_leaves_and_another_takes_at_once_moves_the_other() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    other, remote = pack("192.0.2.2"), Prefix.parse("10.66.0.0/26")
    by_router, by_other = (LearnedPath(ROUTER, "192.0.2.1"),), (LearnedPath(other, "192.0.2.2"),)
    learned.resolved(rib, {VIA_ROUTER: NextHop(2, ROUTER), NextHopKey(other): NextHop(2, other)})
    learned.put(rib, {BLOCK: by_router})
    learned.put(rib, {remote: by_router, BLOCK: by_other})
    learned.resolved(rib, {VIA_ROUTER: NextHop(3, ROUTER)})
    assert rib.wanted(Source.LEARNED)[remote].hops == (NextHop(3, ROUTER),)
    assert rib.wanted(Source.LEARNED)[BLOCK].hops == (NextHop(2, other),)
    learned.remove(rib, [BLOCK, remote])
    assert not learned.next_hops()


def test_what_is_withdrawn_is_not_wanted_any_more() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    learned.resolved(rib, {VIA_ROUTER: NextHop(2, ROUTER)})
    learned.put(rib, learned_from(ROUTER))
    learned.remove(rib, [BLOCK])
    assert not rib.wanted(Source.LEARNED)
    assert not learned.routes
    assert learned.known() == {VIA_ROUTER}


def test_next_hops_that_no_route_has_any_more_are_forgotten_in_the_end() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    learned.resolved(rib, {VIA_ROUTER: NextHop(2, ROUTER)})
    learned.put(rib, learned_from(ROUTER))
    other = Prefix.parse("10.66.0.0/26")
    for number in range(3 * KEPT_NEXT_HOPS):
        paths = (LearnedPath(pack(f"198.51.{number >> 8}.{number & 255}"), "192.0.2.8"),)
        learned.resolved(rib, {next_hop: NextHop(2, ROUTER) for next_hop in learned.unknown([paths])})
        learned.put(rib, {other: paths})
        assert rib.wanted(Source.LEARNED)[other].hops
    assert VIA_ROUTER in learned.known()
    assert len(learned.known()) <= KEPT_NEXT_HOPS + 5
