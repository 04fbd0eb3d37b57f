"""Tunnel routes: wanted exactly where pool mode and subnets say so, at the cost of what changed."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgp.speaker import LearnedPath, LearnedPaths
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Changed, Gone
from felix_py.encap.ipip import IPIP
from felix_py.routes.fib import Fib, Ownership, steps
from felix_py.routes.remote_blocks import borrowed_addresses
from felix_py.routes.rib import Rib, Source
from felix_py.routes.tunnels import TunnelRoutes, remote_tunnels, tunnel_settings
from felix_py.snapshot import Snapshot
from kernel.route import NextHop, RouteSpec, ip_route_text
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import affinity, block

TUNL0, ETH0 = 7, 2
ADDRESSES = {"n1": "192.0.2.1/24", "n2": "192.0.2.2/24", "n3": "198.51.100.3/24"}
OWNERSHIP = Ownership()


def pool(mode: str, cidr: str = "10.65.0.0/16", **spec: Any) -> IPPool:
    return IPPool.make("pods", cidr=cidr, blockSize=26, ipipMode=mode, **spec)


def node(name: str, tunnel: str = "10.65.200.1") -> Node:
    said = {"projectcalico.org/IPv4Address": ADDRESSES[name], "projectcalico.org/IPv4IPIPTunnelAddr": tunnel}
    return Node.make(name, annotations={key: text for key, text in said.items() if text})


class World:
    """One node's view: resources in, tunnel routes out, as the agent's loop does it."""

    def __init__(self, mode: str | None = "Always", device: int = TUNL0) -> None:
        """mode: of the one pool; None: no objects at all."""
        self.snapshot, self.rib, self.device = Snapshot("n1"), Rib(), device
        self.tunnels = TunnelRoutes(OWNERSHIP, IPIP, "n1")
        self.current: dict[tuple[str, str], Resource] = {}
        self.learned: dict[Prefix, LearnedPaths] = {}
        if mode is not None:
            self.put(pool(mode), *map(node, ADDRESSES))

    def put(self, *resources: Resource) -> dict[str, str]:
        for resource in resources:
            self.current[resource.KIND, resource.metadata.name] = resource
            self.fold(Changed(resource))
        return self.update()

    def remove(self, *resources: Resource) -> dict[str, str]:
        for resource in resources:
            self.current.pop((resource.KIND, resource.metadata.name), None)
            self.fold(Gone(type(resource), resource.metadata.name, None, resource))
        return self.update()

    def learn(self, address: str, *nodes: str) -> dict[str, str]:
        """Have an address announced by nodes, by none: withdrawn."""
        prefix = Prefix.parse(address)
        paths = tuple(LearnedPath(pack(ADDRESSES[one].partition("/")[0]), "192.0.2.250") for one in nodes)
        if paths:
            self.learned[prefix] = paths
            due = self.tunnels.learn({prefix: paths})
        else:
            self.learned.pop(prefix, None)
            due = self.tunnels.withdraw([prefix])
        if due:
            self.tunnels.state(self.rib)
        return self.routes()

    def fold(self, event: Changed | Gone) -> None:
        self.snapshot.fold(event)
        self.tunnels.fold(event)

    def update(self) -> dict[str, str]:
        snapshot = self.snapshot
        pools = snapshot.pools.values()
        settings = tunnel_settings(IPIP, pools, snapshot.nodes.get("n1"), self.device, 1480)
        self.tunnels.update(settings, remote_tunnels(IPIP, snapshot.nodes.values(), pools), self.learned)
        self.tunnels.state(self.rib)
        return self.routes()

    def routes(self) -> dict[str, str]:
        wanted = self.rib.wanted(Source.TUNNELS)
        return {str(p): ip_route_text(p, path, {TUNL0: "tunl0"}) for p, path in wanted.items()}


def test_a_remote_block_goes_through_the_tunnel_in_the_words_of_ip() -> None:
    assert World().put(affinity("10.65.2.0/26", "n2")) == {
        "10.65.2.0/26": "10.65.2.0/26 via 192.0.2.2 dev tunl0 proto 80 metric 1030 mtu 1480 onlink"
    }


def test_cross_subnet_leaves_the_same_subnet_to_what_was_learned() -> None:
    world = World("CrossSubnet")
    assert set(world.put(affinity("10.65.2.0/26", "n2"), affinity("10.65.3.0/26", "n3"))) == {"10.65.3.0/26"}


def test_an_address_without_a_subnet_is_alone_in_it() -> None:
    world = World("CrossSubnet")
    own = Node.make("n1", annotations={"projectcalico.org/IPv4Address": "192.0.2.1/32"})
    assert set(world.put(own, affinity("10.65.2.0/26", "n2"))) == {"10.65.2.0/26"}


def test_own_blocks_and_unconfirmed_claims_want_nothing() -> None:
    claims = (affinity("10.65.1.0/26", "n1"), affinity("10.65.2.0/26", "n2", "pending"))
    assert World().put(*claims) == {}


def test_a_pool_that_wants_no_tunnel_and_an_address_of_no_pool_want_nothing() -> None:
    assert World("Never").put(affinity("10.65.2.0/26", "n2")) == {}
    assert World().put(affinity("10.66.2.0/26", "n2")) == {}


def test_borrowed_addresses_have_routes_of_their_own_whosever_block_it_is() -> None:
    world = World()
    assert set(world.put(block("10.65.1.0/29", "n1", "n1", "n2"))) == {"10.65.1.1/32"}  # from ours
    assert set(world.put(block("10.65.3.0/29", "n3", "n1", "n2", "n3"))) == {"10.65.1.1/32", "10.65.3.1/32"}
    assert set(world.remove(block("10.65.1.0/29", "n1"))) == {"10.65.3.1/32"}
    assert world.put(block("10.65.3.0/29", "n3", "n1", None, "n3")) == {}


def test_a_borrowed_block_of_one_address_leads_to_who_has_it() -> None:
    world = World()
    world.put(affinity("10.65.2.9/32", "n2"))
    assert "192.0.2.2" in world.routes()["10.65.2.9/32"]
    assert "198.51.100.3" in world.put(block("10.65.2.9/32", "n2", "n3"))["10.65.2.9/32"]
    assert "192.0.2.2" in world.put(block("10.65.2.9/32", "n2", "n2"))["10.65.2.9/32"]


def test_an_announced_address_goes_through_the_tunnel_as_what_was_learned() -> None:
    world = World()
    assert world.learn("10.65.3.1/32", "n2") == {
        "10.65.3.1/32": "10.65.3.1/32 via 192.0.2.2 dev tunl0 proto 81 metric 1030 mtu 1480 onlink"
    }
    assert "198.51.100.3" in world.learn("10.65.3.1/32", "n3")["10.65.3.1/32"]
    assert world.learn("10.65.3.1/32") == {}


def test_an_announced_address_takes_the_tunnel_only_where_mode_and_subnet_demand_it() -> None:
    world = World("CrossSubnet")
    world.learn("10.65.1.1/32", "n2")
    assert set(world.learn("10.65.1.2/32", "n3")) == {"10.65.1.2/32"}
    assert set(world.learn("10.65.1.3/32", "n2", "n3")) == {"10.65.1.2/32", "10.65.1.3/32"}
    assert "192.0.2.2" not in world.routes()["10.65.1.3/32"]
    world = World("Never")
    assert world.learn("10.65.1.2/32", "n3") == {}
    assert World().learn("10.66.1.2/32", "n3") == {}


def test_two_nodes_that_announce_an_address_share_its_packets() -> None:
    text = World().learn("10.65.3.1/32", "n2", "n3")["10.65.3.1/32"]
    assert "nexthop via 192.0.2.2 dev tunl0" in text
    assert "nexthop via 198.51.100.3 dev tunl0" in text


def test_what_was_announced_before_a_pool_wanted_tunnels_takes_them_then() -> None:
    world = World("Never")
    world.learn("10.65.3.1/32", "n2")
    assert set(world.put(pool("Always"))) == {"10.65.3.1/32"}
    assert world.put(pool("Never")) == {}


def test_an_announced_address_waits_for_the_end_of_its_node_and_follows_it() -> None:
    world = World()
    world.put(node("n2", tunnel=""))
    assert world.learn("10.65.3.1/32", "n2") == {}
    assert set(world.put(node("n2"))) == {"10.65.3.1/32"}
    assert world.remove(node("n2")) == {}


def test_a_block_is_announced_as_well_and_stays_its_nodes() -> None:
    world = World()
    world.put(affinity("10.65.2.0/26", "n2"), affinity("10.65.2.200/32", "n2"))
    world.learn("10.65.2.0/26", "n3")
    assert " proto 80 " in world.learn("10.65.2.200/32", "n2")["10.65.2.200/32"]
    assert "192.0.2.2" in world.routes()["10.65.2.0/26"]


def test_a_block_that_has_no_node_leads_to_the_holders_of_its_addresses() -> None:
    assert borrowed_addresses(block("10.65.3.0/29", None, "n2")) == {Prefix.parse("10.65.3.0/32"): "n2"}


def test_addresses_that_cool_down_lead_nowhere() -> None:
    assert borrowed_addresses(block("10.65.3.0/29", "n3", "n2", releasedAt="2026-01-02T15:04:05Z")) == {}


def test_a_block_that_changes_hands_leads_to_its_new_node_whichever_news_comes_first() -> None:
    old, new = affinity("10.65.2.0/26", "n2"), affinity("10.65.2.0/26", "n3")
    world = World()
    world.put(old, new)
    assert "198.51.100.3" in world.remove(old)["10.65.2.0/26"]
    world = World()
    world.put(old)
    world.remove(old)
    assert "198.51.100.3" in world.put(new)["10.65.2.0/26"]


def test_nothing_is_sent_to_a_node_whose_end_is_not_ready_yet() -> None:
    world = World()
    world.put(affinity("10.65.2.0/26", "n2"))
    assert world.put(node("n2", tunnel="")) == {}
    assert world.tunnels.waiting() == ["n2"]
    assert set(world.put(node("n2"))) == {"10.65.2.0/26"}


def test_a_node_that_is_to_have_no_tunnel_address_is_not_waited_for() -> None:
    world = World()
    world.put(pool("Always", nodeSelector="rack == 'a'"), node("n2", tunnel=""))
    assert set(world.put(affinity("10.65.2.0/26", "n2"))) == {"10.65.2.0/26"}


def test_without_the_device_a_route_is_wanted_and_unresolved() -> None:
    world = World(device=0)
    world.put(affinity("10.65.2.0/26", "n2"))
    assert [str(prefix) for _, prefix in world.rib.unresolved()] == ["10.65.2.0/26"]
    world.device = TUNL0
    world.update()
    assert list(world.rib.unresolved()) == []


def test_a_node_that_is_gone_has_no_routes() -> None:
    world = World()
    world.put(affinity("10.65.2.0/26", "n2"))
    assert world.remove(node("n2")) == {}


def test_a_change_of_mode_is_one_replace_on_the_same_prefix() -> None:
    prefix = Prefix.parse("10.65.2.0/26")
    learned = RouteSpec(OWNERSHIP.learned, OWNERSHIP.metric, hops=(NextHop(ETH0, pack("192.0.2.2")),))
    for before, after in (("Never", "Always"), ("Always", "Never")):
        world = World(before)
        world.put(affinity("10.65.2.0/26", "n2"))
        world.rib.put(Source.LEARNED, prefix, learned)
        fib = Fib(OWNERSHIP)
        fib.carried_out(steps(world.rib, fib, [prefix], (80, 81)))
        world.put(pool(after))
        plan = steps(world.rib, fib, [prefix], (80, 81))
        assert [p for p, _ in plan.put] == [prefix]
        assert not plan.remove


def test_until_the_datastore_is_in_sync_what_was_learned_does_not_take_a_tunnels_place() -> None:
    prefix, rib, fib = Prefix.parse("10.65.2.0/26"), Rib(), Fib(OWNERSHIP)
    fib.held[prefix] = RouteSpec(
        OWNERSHIP.local, OWNERSHIP.metric, hops=(NextHop(TUNL0, pack("192.0.2.2"), onlink=True),), mtu=1480
    )
    rib.put(
        Source.LEARNED, prefix, RouteSpec(OWNERSHIP.learned, OWNERSHIP.metric, hops=(NextHop(ETH0, pack("192.0.2.2")),))
    )
    assert not steps(rib, fib, [prefix], ())
    assert steps(rib, fib, [prefix], (OWNERSHIP.local,)).put


def test_nor_does_it_take_the_place_of_the_tunnel_to_a_borrowed_address() -> None:
    prefix, rib, fib = Prefix.parse("10.65.1.1/32"), Rib(), Fib(OWNERSHIP)
    world = World()
    world.learn(str(prefix), "n2")
    fib.held[prefix] = world.rib.wanted(Source.TUNNELS)[prefix]
    rib.put(
        Source.LEARNED, prefix, RouteSpec(OWNERSHIP.learned, OWNERSHIP.metric, hops=(NextHop(ETH0, pack("192.0.2.2")),))
    )
    assert not steps(rib, fib, [prefix], ())
    assert steps(rib, fib, [prefix], (OWNERSHIP.local,)).put


def test_one_block_more_costs_one_block() -> None:
    world = World()
    world.put(*(affinity(f"10.65.{n}.0/26", "n2") for n in range(2, 200)))
    world.rib.changed.clear()
    world.fold(Changed(affinity("10.65.250.0/26", "n3")))
    world.fold(Changed(block("10.65.2.0/29", "n2", "n2", "n2")))
    world.update()
    assert set(world.rib.changed) == {Prefix.parse("10.65.250.0/26")}


CIDRS = [f"10.65.{n}.0/29" for n in range(4)] + ["10.65.9.9/32"]
ANNOUNCED = ["10.65.1.1/32", "10.65.9.9/32", "10.65.2.0/29"]
owners = st.sampled_from([*ADDRESSES, None])
events = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(CIDRS), st.sampled_from(list(ADDRESSES)), st.booleans()),
    st.tuples(st.just("block"), st.sampled_from(CIDRS), owners, owners),
    st.tuples(st.just("announce"), st.sampled_from(ANNOUNCED), st.sampled_from(["n2", "n3", None]), st.none()),
    st.tuples(st.just("node"), st.sampled_from(["n2", "n3"]), st.booleans(), st.booleans()),
    st.tuples(st.just("mode"), st.sampled_from(["Never", "Always", "CrossSubnet"]), st.none(), st.none()),
    st.tuples(st.just("device"), st.sampled_from([0, TUNL0]), st.none(), st.none()),
)


def carry_out(world: World, event: tuple[str, object, object, object]) -> None:
    match event:
        case ("claim", str(cidr), str(owner), there):
            (world.put if there else world.remove)(affinity(cidr, owner))
        case ("block", str(cidr), owner, holder):
            world.put(block(cidr, str(owner) if owner else None, str(holder) if holder else None))
        case ("announce", str(address), by, _):
            world.learn(address, *([str(by)] if by else []))
        case ("node", str(name), there, ready):
            (world.put if there else world.remove)(node(name, "10.65.200.1" if ready else ""))
        case ("mode", str(mode), _, _):
            world.put(pool(mode))
        case ("device", int(device), _, _):
            world.device = device
            world.update()


@given(st.lists(events, max_size=30))
def test_step_by_step_leads_where_starting_anew_does(history: list[tuple[str, object, object, object]]) -> None:
    world = World()
    claims: dict[str, str] = {}
    for event in history:
        if event[0] == "claim":  # two confirmed claims on one block violate invariant 3, and which of them wins is open
            _, cidr, owner, there = event
            assert isinstance(cidr, str)
            assert isinstance(owner, str)
            if there and claims.setdefault(cidr, owner) != owner:
                continue
            if not there and claims.get(cidr) == owner:
                del claims[cidr]
        carry_out(world, event)
    anew = World(None, world.device)
    anew.learned = world.learned
    anew.put(*world.current.values())
    assert anew.routes() == world.routes()


def test_it_knows_the_owners_of_other_nodes_blocks_without_any_tunnel() -> None:
    world = World("Never")
    owners = world.tunnels.owners()
    world.put(affinity("10.65.2.0/26", "n2"), affinity("10.65.1.0/26", "n1"))
    assert owners == {Prefix.parse("10.65.2.0/26"): "n2"}
    assert world.tunnels.owners() is owners, "it is not made anew for each change"
    assert not isinstance(owners, MutableMapping)
