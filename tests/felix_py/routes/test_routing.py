"""The sources together: what snapshot, host and peers want of the kernel, and what a lost device costs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest
from msgspec.structs import replace

from bgp.protocol import PER_LINE
from bgp.speaker import LearnedPath
from datastore.record import Resource
from datastore.store import Changed, InSync
from felix_py.host.host import Host
from felix_py.routes.fib import Ownership, Plan
from felix_py.routes.routing import LULL_TURNS, Routing
from felix_py.snapshot import Endpoint, Snapshot
from kernel.events import LinkChanged
from kernel.link_codec import Link
from kernel.route import NextHop
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import BLOCK, CALI, DEVICE, HOLE, LEARNED, POD, REMOTE, affinity, endpoint, node, pool
from tests.felix_py.fakes import ADDRESS, ETH0, FakeKernel

TUNL0 = Link(5, "tunl0", up=True, carrier=True, mtu=1480, mac=b"")


class Routes:
    """A node's routing between a snapshot and a fake kernel."""

    def __init__(self, *resources: Resource, links: Collection[Link] = (ETH0, CALI)) -> None:
        self.kernel, self.snapshot, self.woken = FakeKernel(links=links), Snapshot("n1"), 0
        self.host = Host([pack("192.0.2.1")], "cali", ["tunl0"])
        self.host.load(links, [ADDRESS])
        self.routing = Routing(Ownership(), self.kernel, self.snapshot, self.host, self.wake)
        for resource in (node(), pool(), affinity(), *resources):
            self.snapshot.fold(Changed(resource))
            self.routing.tunnels.fold(Changed(resource))
        self.snapshot.fold(InSync())

    def wake(self) -> None:
        self.woken += 1


async def test_a_pods_route_follows_its_device() -> None:
    one = Routes()
    one.snapshot.attach(Endpoint.of(endpoint()))
    await one.routing.state_pods()
    assert one.routing.rib.best(POD) == DEVICE
    one.host.fold(LinkChanged(CALI, gone=True))
    await one.routing.state_pods()
    assert one.routing.rib.best(POD) is None


async def test_blocks_are_blackholes() -> None:
    one = Routes()
    await one.routing.state_blocks()
    assert one.routing.rib.best(BLOCK) == HOLE


async def test_tunnel_routes_need_device_and_mtu_of_the_moment() -> None:
    remote = node("n2", "192.0.2.2/24", **{"projectcalico.org/IPv4IPIPTunnelAddr": "10.65.2.1"})
    one = Routes(pool(ipipMode="Always"), remote, affinity(str(REMOTE), "n2"), links=(ETH0, TUNL0))
    await one.routing.update_tunnels()
    await one.routing.state_tunnels()
    best = one.routing.rib.best(REMOTE)
    assert best is not None
    assert (best.hops, best.mtu) == ((NextHop(5, pack("192.0.2.2"), onlink=True),), 1480)
    assert one.routing.tunnel_wanted()


async def test_what_is_learned_is_resolved_by_the_kernel_and_wakes() -> None:
    one = Routes()
    one.kernel.reached[pack("192.0.2.2")] = NextHop(2, pack("192.0.2.2"))
    one.routing.learn({REMOTE: (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)})
    assert one.woken
    assert one.routing.rib.best(REMOTE) == LEARNED
    one.kernel.reached.clear()
    await one.routing.resolve_next_hops()
    assert one.routing.rib.best(REMOTE) is None
    assert one.routing.unreachable_next_hops() == ["192.0.2.2"]
    one.routing.withdraw([REMOTE])
    assert not one.routing.unreachable_next_hops()


async def heard_meanwhile(one: Routes, lines: Sequence[Sequence[Prefix]], turns: int) -> int:
    """Learn a line, then one in every so many turns of the loop; return how many were by the end of `hear_out`."""
    paths = (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)
    one.routing.learn(dict.fromkeys(lines[0], paths))
    hearing = asyncio.create_task(one.routing.hear_out())
    heard = 1
    for line in lines[1:]:
        for _ in range(turns):
            await asyncio.sleep(0)
        if hearing.done():
            break
        one.routing.learn(dict.fromkeys(line, paths))
        heard += 1
    await hearing
    return heard


async def test_a_large_ipv4_table_is_heard_out_as_long_as_its_lines_come_one_after_the_other() -> None:
    ipv4 = [[Prefix(((line * PER_LINE + n) << 6).to_bytes(4), 26) for n in range(PER_LINE)] for line in range(5)]
    ipv6 = [[Prefix(prefix.packed + bytes(12), 26) for prefix in line] for line in ipv4]
    single = [line[:1] for line in ipv4]
    assert await heard_meanwhile(Routes(), ipv4, turns=1) == 5
    assert await heard_meanwhile(Routes(), ipv4, turns=LULL_TURNS - 1) == 5
    assert await heard_meanwhile(Routes(), ipv4, turns=LULL_TURNS + 2) == 1
    assert await heard_meanwhile(Routes(), ipv6, turns=1) == 1
    assert await heard_meanwhile(Routes(), single, turns=1) == 1


async def test_tables_without_an_end_are_written_once_many_routes_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("felix_py.routes.routing.MOST_HEARD_OUT", 3 * PER_LINE)
    lines = [[Prefix(((line * PER_LINE + n) << 6).to_bytes(4), 26) for n in range(PER_LINE)] for line in range(9)]
    assert await heard_meanwhile(Routes(), lines, turns=1) < len(lines)


async def test_a_pods_device_that_is_lost_costs_that_pods_routes_only() -> None:
    one = Routes()
    one.snapshot.attach(Endpoint.of(endpoint()))
    await one.routing.state_pods()
    await one.routing.write()
    one.routing.writer.fib.carried_out(
        Plan(put=[(REMOTE, DEVICE)])
    )  # through the same device, but no address of its pod
    one.routing.lost_device(CALI)
    assert set(one.routing.writer.fib.held) == {REMOTE}


async def test_the_end_of_a_device_that_del_put_out_of_the_way_costs_no_look_at_the_table() -> None:
    one = Routes()
    retired = replace(CALI, name="felix7", up=False)
    one.host.fold(LinkChanged(retired))
    one.routing.writer.fib.carried_out(Plan(put=[(REMOTE, DEVICE)]))
    one.routing.lost_device(retired)
    assert set(one.routing.writer.fib.held) == {REMOTE}


async def test_a_device_of_the_host_that_is_lost_may_have_carried_any_route() -> None:
    one = Routes()
    one.routing.writer.fib.carried_out(Plan(put=[(REMOTE, LEARNED)]))
    one.routing.lost_device(ETH0)
    assert not one.routing.writer.fib.held


async def test_before_the_endpoints_are_known_a_pods_device_may_have_carried_any_route() -> None:
    one = Routes()
    one.snapshot.in_sync = False
    one.routing.writer.fib.carried_out(Plan(put=[(POD, DEVICE)]))
    one.routing.lost_device(CALI)
    assert not one.routing.writer.fib.held


async def test_what_was_withdrawn_in_this_life_goes_at_once_and_what_is_left_of_a_former_one_waits() -> None:
    one = Routes()
    former = Prefix.parse("10.65.9.0/26")
    one.kernel.routes[former, 1030] = LEARNED
    await one.routing.writer.read_all()
    one.routing.learn({REMOTE: (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)})
    one.kernel.reached[pack("192.0.2.2")] = NextHop(2, pack("192.0.2.2"))
    await one.routing.resolve_next_hops()
    await one.routing.write()
    assert one.kernel.held(REMOTE) == LEARNED
    one.routing.withdraw([REMOTE])
    await one.routing.write()
    assert (one.kernel.held(REMOTE), one.kernel.held(former)) == (None, LEARNED)
