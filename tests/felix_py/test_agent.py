"""The agent's loop over fakes: what it does after which change, and in which order."""

from __future__ import annotations

import asyncio
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp.client import Connected, Disconnected, VersionDiffers
from bgp.protocol import PER_LINE, Converged, Learned, Problem, ReplayEnd, Withdrawn, cut
from bgp.speaker import LearnedPath
from datastore.backoff import Backoff
from datastore.errors import Unavailable
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Unreadable
from datastore.watch import key_of
from felix_py import agent as agent_module
from felix_py.host.host_reading import HostReading
from felix_py.outputs import bring_in_line
from felix_py.routes.routing import RouteRefused
from kernel.events import AddressChanged, EventsLost, LinkChanged, RouteChanged
from kernel.link_codec import InterfaceAddress, Link
from kernel.netlink import KernelError
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import (
    BLOCK,
    BORROWED,
    CALI,
    DEVICE,
    HOLE,
    LEARNED,
    POD,
    REMOTE,
    FakeNode,
    affinity,
    endpoint,
    node,
    pool,
)
from tests.felix_py.fakes import ADDRESS, ETH0, until

LONGER_THAN_THE_TEST_SECONDS = 3600.0
FROM_N2 = Learned({REMOTE: (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)})


def states(one: FakeNode, peer: str) -> bool:
    """Whether a session with a peer is among those that were stated last."""
    speaker = one.peers.speaker
    return speaker is not None and any(session.address == peer for session in speaker.neighbours)


async def test_a_nodes_pod_cidr_is_its_block_where_that_is_set(tmp_path: Path) -> None:
    """It is announced whole, its unassigned addresses are dropped, and a pod in it is announced by nothing else."""
    given, address = Prefix.parse("10.65.4.0/24"), Prefix.parse("10.65.4.2/32")
    one = FakeNode(tmp_path, node().with_spec(pod_cidrs=(str(given),)), pool(), USE_POD_CIDR="true")
    one.add_device()
    async with one.running() as agent:
        await until(lambda: set(one.peers.announced) == {given})
        assert one.kernel.held(given) == HOLE
        await agent.attach(endpoint(str(address)), 7)
        assert one.kernel.held(address) == DEVICE
        await until(lambda: set(one.peers.announced) == {given})
        one.store.put(node().with_spec(pod_cidrs=("10.65.5.0/24",)))
        await until(lambda: set(one.peers.announced) == {Prefix.parse("10.65.5.0/24"), address})
        assert one.kernel.held(given) is None


async def test_a_block_is_announced_only_when_its_blackhole_is_in_the_kernel(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    one.kernel.open.clear()
    async with one.running(ready=False):
        await until(lambda: one.agent.snapshot.in_sync)
        for _ in range(100):  # whatever the loop can do without the kernel, it does
            await asyncio.sleep(0)
        assert not one.peers.announced
        one.kernel.open.set()
        await until(lambda: BLOCK in one.peers.announced)
    assert one.deeds.index(f"put {BLOCK}") < one.deeds.index("configure") < one.deeds.index(f"announce {BLOCK}")


async def test_a_block_that_comes_later_is_announced_after_its_blackhole_too(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.store.put(affinity("10.65.3.0/26"))
        await until(lambda: Prefix.parse("10.65.3.0/26") in one.peers.announced)
    assert one.deeds.index("put 10.65.3.0/26") < one.deeds.index("announce 10.65.3.0/26")


async def test_a_block_that_comes_later_is_announced_before_all_sessions_are_worked_out_with_it(tmp_path: Path) -> None:
    one, block = FakeNode(tmp_path), Prefix.parse("10.65.3.0/26")
    async with one.running():
        await until(lambda: one.peers.announced)
        before = len(one.deeds)
        one.store.put(affinity("10.65.3.0/26"))
        await until(lambda: one.peers.speaker is not None and block in one.peers.speaker.local.own_blocks)
    deeds = one.deeds[before:]
    assert deeds.index(f"announce {block}") < deeds.index("configure")


async def test_a_block_that_is_given_up_loses_announcement_and_blackhole(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.store.remove(affinity())
        await until(lambda: not one.peers.announced)
        assert one.kernel.held(BLOCK) is None


async def test_before_the_datastore_is_in_sync_learned_routes_are_written_and_nothing_is_removed(
    tmp_path: Path,
) -> None:
    one = FakeNode(tmp_path, routes=[(POD, DEVICE), (BLOCK, HOLE)])
    one.store.synced.clear()
    async with one.running(ready=False):
        one.peers.report(Connected(), FROM_N2, ReplayEnd(True))
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)
        assert (one.kernel.held(POD), one.kernel.held(BLOCK)) == (DEVICE, HOLE)
        assert not one.agent.progress.first_write
        one.store.synced.set()
        await one.agent.ready()
        assert one.kernel.held(POD) is None
        assert one.kernel.held(BLOCK) == HOLE


async def test_a_pod_that_the_agent_before_did_not_write_on_keeps_its_route(tmp_path: Path) -> None:
    told = endpoint()
    untold = told.with_spec(ip_networks=(), container_id=None)
    one = FakeNode(tmp_path, node(), pool(), affinity(), untold, routes=[(POD, DEVICE)])
    one.add_device()
    one.left = [told]
    async with one.running() as agent:
        one.store.put(untold.with_spec(ip_networks=("10.65.1.9/32",)))  # not what that agent gave it
        one.store.put(node(address="192.0.2.7/24"))
        await until(lambda: agent.snapshot.nodes["n1"].ipv4 is not None and "192.0.2.7" in str(agent.snapshot.nodes))
        assert f"remove {POD}" not in one.deeds
        assert one.kernel.held(POD) == DEVICE
        await agent.detach(told)
        assert one.kernel.held(POD) is None


async def test_a_learned_route_of_a_former_run_stays_until_the_peers_have_sent_their_tables(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, routes=[(REMOTE, LEARNED)])
    async with one.running():
        one.peers.report(Connected(), ReplayEnd(False))
        await until(lambda: one.agent.progress.sidecar_connected)
        assert one.kernel.held(REMOTE) == LEARNED
        one.peers.report(Converged())
        await until(lambda: one.kernel.held(REMOTE) is None)
        assert one.agent.progress.learned_settled


async def test_what_a_peer_withdraws_is_removed(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.peers.report(Connected(), FROM_N2, ReplayEnd(True))
        await until(lambda: one.kernel.held(REMOTE))
        assert set(one.peers.held()) == {REMOTE}
        one.peers.report(Withdrawn((REMOTE,)))
        await until(lambda: one.kernel.held(REMOTE) is None)
        assert not set(one.peers.held())


async def test_between_two_lines_of_the_sidecar_the_loop_turns(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        seen, paths = set(), next(iter(FROM_N2.routes.values()))
        lines = [Learned({Prefix.parse(f"10.66.{n}.0/26"): paths}) for n in range(4)]
        one.peers.report(*lines)
        while len(agent.routing.learned.routes) < len(lines):
            await asyncio.sleep(0)
            seen.add(len(agent.routing.learned.routes))
        assert seen >= {1, 2, 3, 4}


async def test_a_table_that_comes_line_by_line_is_written_as_one_and_no_pod_waits_for_it(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    paths = next(iter(FROM_N2.routes.values()))
    table = {Prefix((n << 6).to_bytes(4), 26): paths for n in range(10 * PER_LINE)}
    async with one.running() as agent:
        one.peers.report(*map(Learned, cut(table)))
        await until(lambda: bool(agent.routing.rib.changed))
        await agent.attach(endpoint(), CALI.index)
        heard, before = len(agent.routing.learned.routes), len(one.kernel.batches)
        assert len(one.kernel.batches[-1][0]) == heard + 1 < len(table)
        await until(lambda: one.kernel.held(list(table)[-1]) is not None)
        sizes = [len(put) for put, _ in one.kernel.batches[before:]]
        assert sum(sizes) == len(table) - heard
        assert len(sizes) <= 3, "the pod's routes may have come between two of its lines"


async def test_while_the_sidecar_is_away_its_routes_stay(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.peers.report(Connected(), FROM_N2, ReplayEnd(True))
        await until(lambda: one.kernel.held(REMOTE))
        one.peers.report(Disconnected())
        await until(lambda: not one.agent.progress.sidecar_connected)
        assert one.kernel.held(REMOTE) == LEARNED


async def test_while_the_sidecar_is_of_another_version_its_routes_stay_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.peers.report(Connected(), FROM_N2, ReplayEnd(True), Disconnected(), VersionDiffers("restart the sidecar"))
        await until(lambda: one.agent.progress.sidecar_differs)
        assert "connect to the sidecar: restart the sidecar" in caplog.text
        assert one.kernel.held(REMOTE) == LEARNED
        one.peers.report(Connected(), ReplayEnd(False))
        await until(lambda: not one.agent.progress.sidecar_differs)
        assert one.kernel.held(REMOTE) == LEARNED


async def test_what_the_sidecar_could_not_do_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.peers.report(Problem("listen on 192.0.2.1 port 179: in use"))
        await until(lambda: "the sidecar reports: listen on 192.0.2.1" in caplog.text)


async def test_a_next_hop_that_becomes_reachable_brings_its_routes(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    way = one.kernel.reached.pop(pack("192.0.2.2"))
    async with one.running():
        one.peers.report(Connected(), FROM_N2, ReplayEnd(True))
        await until(lambda: one.agent.routing.unreachable_next_hops() == ["192.0.2.2"])
        one.kernel.reached[pack("192.0.2.2")] = way
        one.kernel.report(AddressChanged(InterfaceAddress(2, pack("198.51.100.1"), 24, 2, 0)))
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)


async def test_attach_returns_when_the_pods_route_is_in_the_kernel(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.kernel.open.clear()
        attaching = asyncio.create_task(agent.attach(endpoint(), CALI.index))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not attaching.done()
        one.kernel.open.set()
        await attaching
        assert one.kernel.held(POD) == DEVICE
        await agent.detach(endpoint())
        assert one.kernel.held(POD) is None


async def test_attached_again_with_another_device_the_route_follows(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        await agent.attach(endpoint(), 7)
        await agent.attach(endpoint(), 8)
        assert one.kernel.held(POD) == DEVICE._replace(hops=(NextHop(8),))


async def test_an_attached_pod_is_not_undone_by_an_older_event(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        await agent.attach(endpoint(), CALI.index)
        one.store.remove(endpoint(container="c0"))
        one.store.put(affinity("10.65.3.0/26"))
        await until(lambda: Prefix.parse("10.65.3.0/26") in one.peers.announced)
        assert one.kernel.held(POD) == DEVICE


async def test_a_borrowed_address_is_announced_by_the_loop_after_its_route(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        await agent.attach(endpoint("10.65.9.9/32"), CALI.index)
        await until(lambda: BORROWED in one.peers.announced)
        assert one.deeds.index(f"put {BORROWED}") < one.deeds.index(f"announce {BORROWED}")
        await agent.detach(endpoint("10.65.9.9/32"))
        await until(lambda: BORROWED not in one.peers.announced)


async def test_a_pod_in_a_block_that_was_just_claimed_for_it_is_not_announced_as_a_borrower(tmp_path: Path) -> None:
    one, block = FakeNode(tmp_path), Prefix.parse("10.65.3.0/26")
    one.claimed.append(block)
    async with one.running() as agent:
        await agent.attach(endpoint("10.65.3.2/32"), CALI.index)
        await agent.attach(endpoint("10.65.9.9/32", "c2", "web-2"), CALI.index)
        await until(lambda: BORROWED in one.peers.announced)
        one.store.put(affinity(str(block)))  # the watch reports it a moment later
        await until(lambda: block in one.peers.announced)
    assert "announce 10.65.3.2/32" not in one.deeds


async def test_while_the_route_of_a_borrowed_address_is_on_its_way_the_address_is_not_announced(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        one.kernel.open.clear()
        attaching = asyncio.create_task(agent.attach(endpoint("10.65.9.9/32"), CALI.index))
        for _ in range(100):
            await asyncio.sleep(0)
        assert BORROWED not in one.peers.announced
        one.kernel.open.set()
        await attaching
        await until(lambda: BORROWED in one.peers.announced)


async def test_a_pod_in_an_own_block_changes_no_announcement(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        before = list(one.deeds)
        await agent.attach(endpoint(), CALI.index)
        assert [deed for deed in one.deeds if deed not in before] == [f"put {POD}"]


async def test_a_pods_route_that_the_kernel_refuses_is_an_error_of_attach(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    one.kernel.refused[POD] = "Network is unreachable (ENETUNREACH)"
    async with one.running() as agent:
        with pytest.raises(RouteRefused, match=r"put the route 10.65.1.2/32 dev cali0: Network is unreachable"):
            await agent.attach(endpoint(), CALI.index)


async def test_a_pods_route_under_a_foreign_one_with_our_metric_is_an_error_of_attach(tmp_path: Path) -> None:
    foreign = RouteSpec(3, hops=(NextHop(2),), metric=1030)
    one = FakeNode(tmp_path, routes=[(POD, foreign)])
    async with one.running() as agent:
        with pytest.raises(RouteRefused, match="a route of protocol 3 is there with our metric 1030"):
            await agent.attach(endpoint(), CALI.index)
        assert one.kernel.held(POD) == foreign


async def test_a_pods_device_that_goes_down_and_comes_back_has_its_route_again(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        await agent.attach(endpoint(), CALI.index)
        one.add_device()
        one.kernel.report(one.kernel.set_link(replace(CALI, up=False)))
        await until(lambda: one.agent.routing.rib.best(POD) is None)
        one.add_device()
        await until(lambda: one.kernel.held(POD) == DEVICE)


async def test_a_pods_device_of_another_index_moves_its_route(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    one.kernel.set_link(CALI)
    async with one.running() as agent:
        await agent.attach(endpoint(), CALI.index)
        one.kernel.report(one.kernel.set_link(CALI, gone=True))
        one.add_device(replace(CALI, index=9))
        await until(lambda: (found := one.kernel.held(POD)) and found.hops == (NextHop(9),))


async def test_a_route_that_another_program_deletes_is_put_back(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.kernel.report(one.kernel.foreign_remove(BLOCK))
        await until(lambda: one.kernel.held(BLOCK) == HOLE)
        assert agent.routing.writer.repairs == 1


async def test_with_repair_off_it_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = FakeNode(tmp_path, FELIX_REPAIR="false")
    async with one.running():
        one.kernel.report(one.kernel.foreign_remove(BLOCK))
        await until(lambda: "left as it is (FELIX_REPAIR is off)" in caplog.text)
        assert one.kernel.held(BLOCK) is None


async def test_after_lost_events_everything_is_read_and_put_right(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        await agent.attach(endpoint(), CALI.index)
        one.kernel.foreign_remove(POD)  # no event of it arrives
        one.kernel.set_link(CALI)
        one.kernel.report(EventsLost())
        await until(lambda: one.kernel.held(POD) == DEVICE)
        assert one.kernel.dumps == 2


async def test_a_start_goes_by_the_devices_that_it_has_read_and_by_what_changed_since(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    found = HostReading(one.kernel)
    assert CALI.index not in found.links()
    one.add_device()
    async with one.running(found=found) as agent:
        await until(lambda: CALI.name in agent.host.up)
        assert (ETH0.name in agent.host.up, one.kernel.listings) == (True, 1)


async def test_routes_that_went_with_an_address_are_back_though_the_address_is_too(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    one.kernel.reached[pack("192.0.2.2")] = NextHop(2, pack("192.0.2.2"))
    async with one.running():
        one.peers.report(FROM_N2)
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)
        one.kernel.foreign_remove(REMOTE)  # no event of it arrives
        one.kernel.report(AddressChanged(ADDRESS, gone=True), AddressChanged(ADDRESS))
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)


async def test_a_device_of_the_host_that_was_down_has_its_routes_again_without_a_dump(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.peers.report(FROM_N2)
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)
        one.kernel.report(one.kernel.set_link(replace(ETH0, up=False)), one.kernel.set_link(ETH0))
        assert one.kernel.held(REMOTE) is None
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)
        assert one.kernel.dumps == 1


async def test_a_write_of_ours_that_hit_a_foreign_route_is_reported(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.kernel.report(RouteChanged(REMOTE, RouteSpec(3, metric=7), gone=True, own=True))
        await until(lambda: agent.routing.writer.foreign_touched)


async def test_a_changed_uplink_mtu_reaches_tunnel_routes_and_new_pods_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = FakeNode(tmp_path, node(), pool(ipipMode="Always"), affinity())
    one.kernel.set_link(Link(5, "tunl0", up=True, carrier=True, mtu=1480, mac=b""))
    ready = {"projectcalico.org/IPv4IPIPTunnelAddr": "10.65.2.1"}
    async with one.running() as agent:
        one.store.put(node("n2", "192.0.2.2/24", **ready), affinity(str(REMOTE), "n2"))
        await until(lambda: (route := one.kernel.held(REMOTE)) and route.mtu == 1480)
        assert (one.tunnel.mtu, agent.pod_mtu(), one.mtu_file.read_text()) == (1480, 1480, "1480")
        one.kernel.report(one.kernel.set_link(replace(ETH0, mtu=9000)))
        await until(lambda: one.mtu_file.read_text() == "8980")
        assert (one.tunnel.mtu, agent.pod_mtu()) == (8980, 8980)
        assert "new pods get MTU 8980 instead of 1480" in caplog.text
        route = one.kernel.held(REMOTE)
        assert route is not None
        assert route.mtu == 8980


async def test_a_nodes_address_that_is_on_another_device_brings_its_mtu(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    one.kernel.set_link(replace(ETH0, index=3, name="eth1", mtu=1400))
    one.kernel.device_addresses.append(InterfaceAddress(3, pack("198.51.100.1"), 24, 2, 0))
    async with one.running() as agent:
        assert one.mtu_file.read_text() == "1500"
        one.store.put(node("n1", "198.51.100.1/24"))
        await until(lambda: one.mtu_file.read_text() == "1400")
        assert agent.pod_mtu() == 1400


async def test_a_session_without_source_address_follows_the_hosts_addresses(tmp_path: Path) -> None:
    peer = BGPPeer.make("tor", peerIP="198.51.100.98", asNumber=64600, sourceAddress="None")
    one = FakeNode(tmp_path, node(), pool(), peer)

    def sources() -> list[str]:
        return [each.local_address for each in one.peers.speaker.neighbours] if one.peers.speaker else []

    async with one.running():
        await until(lambda: sources() == ["192.0.2.1"])
        one.kernel.report(AddressChanged(InterfaceAddress(2, pack("198.51.100.1"), 24, 2, 0)))
        await until(lambda: sources() == ["198.51.100.1"])


async def test_a_peer_that_is_to_be_reached_by_a_gateway_is_until_it_goes(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(), pool())
    gateway, host = pack("192.0.2.254"), Prefix.parse("198.51.100.98/32")
    one.kernel.reached[gateway] = NextHop(2, gateway)
    peer = BGPPeer.make("far", peerIP="198.51.100.98", asNumber=64600, reachableBy="192.0.2.254")
    async with one.running():
        one.store.put(peer)
        await until(lambda: one.kernel.held(host) == RouteSpec(80, hops=(NextHop(2, gateway),), metric=1030))
        one.store.remove(peer)
        await until(lambda: one.kernel.held(host) is None)


async def test_a_configured_mtu_of_the_tunnel_is_applied_when_it_changes(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(), pool(ipipMode="CrossSubnet"), affinity())
    async with one.running() as agent:
        one.store.put(FelixConfiguration.make("default", ipipMTU=1400))
        await until(lambda: one.tunnel.mtu == 1400)
        assert agent.pod_mtu() == 1400


async def test_a_pool_that_asks_for_nat_has_it_while_it_asks(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        assert one.table.stated and set(one.table.stated) == {None}
        one.store.put(pool(natOutgoing=True))
        await until(lambda: one.table.stated[-1] is not None)
        before = one.table.stated[-1]
        one.store.put(FelixConfiguration.make("default", natPortRange="1024:2047"))
        await until(lambda: one.table.stated[-1] not in (None, before))
        one.store.put(pool())
        await until(lambda: one.table.stated[-1] is None)


async def test_nodes_are_spared_of_nat_as_they_come(tmp_path: Path) -> None:
    one = FakeNode(
        tmp_path, node(), pool(natOutgoing=True), affinity(), FELIX_NATOUTGOINGEXCLUSIONS="IPPoolsAndHostIPs"
    )
    async with one.running():
        before = one.table.stated[-1]
        assert before is not None and len(before.sets) == 3
        one.store.put(node("n2", "192.0.2.2/24"))
        await until(lambda: one.table.stated[-1] != before)


async def test_the_clusters_log_level_is_followed_at_once(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.store.put(FelixConfiguration.make("default", logSeverityScreen="Debug"))
        await until(lambda: one.levels[-1:] == ["DEBUG"])


async def test_a_nodes_own_mtu_of_the_tunnel_goes_before_the_clusters(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(), pool(ipipMode="CrossSubnet"), affinity(), FELIX_IPINIPMTU="1300")
    async with one.running() as agent:
        one.store.put(FelixConfiguration.make("default", ipipMTU=1400))
        await until(lambda: one.tunnel.mtu == 1300)
        assert agent.pod_mtu() == 1300


async def test_without_a_pool_that_wants_tunnels_the_device_is_not_wanted(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        assert (one.tunnel.mtu, agent.pod_mtu()) == (0, 1500)


async def test_an_address_taken_off_the_tunnels_device_is_put_right(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(), pool(ipipMode="Always"), affinity())
    one.kernel.set_link(Link(5, "tunl0", up=True, carrier=True, mtu=1480, mac=b""))
    async with one.running():
        asked = one.deeds.count("tunnel 1480")
        one.kernel.report(AddressChanged(InterfaceAddress(5, pack("10.65.1.9"), 32, 2, 0), gone=True))
        await until(lambda: one.deeds.count("tunnel 1480") > asked)


@pytest.mark.parametrize(("mode", "looks"), [("Always", True), ("Never", False)])
async def test_whether_the_tunnels_address_is_still_assigned_is_looked_at_when_the_nodes_blocks_change(
    tmp_path: Path, mode: str, looks: bool
) -> None:
    """As after a backup was put back: a pod would be given the address one day."""
    one = FakeNode(tmp_path, node(), pool(ipipMode=mode), affinity())
    async with one.running():
        await until(lambda: one.peers.announced)
        asked = one.deeds.count("tunnel 1480")
        one.store.put(affinity("10.65.9.0/26"))
        await until(lambda: Prefix.parse("10.65.9.0/26") in one.peers.announced)
        assert (one.deeds.count("tunnel 1480") > asked) is looks


async def test_the_tunnels_device_is_asked_for_before_a_route_leads_into_it(tmp_path: Path) -> None:
    ready = {"projectcalico.org/IPv4IPIPTunnelAddr": "10.65.2.1"}
    remote = node("n2", "192.0.2.2/24", **ready)
    one = FakeNode(tmp_path, node(), pool(ipipMode="Always"), affinity(), remote, affinity(str(REMOTE), "n2"))
    one.kernel.set_link(Link(5, "tunl0", up=True, carrier=True, mtu=1480, mac=b""))
    async with one.running():
        assert one.deeds.index("tunnel 1480") < one.deeds.index(f"put {REMOTE}")


async def test_a_notice_is_logged_once_and_again_only_when_it_reappears(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = FakeNode(tmp_path)
    peer = BGPPeer.make("rack", peerIP="192.0.2.9", asNumber=64512, filters=["reject-all"])
    async with one.running() as agent:
        one.store.put(peer, peer)
        await until(lambda: agent.peering.client.speaker and agent.peering.client.speaker.held_back)
        assert caplog.text.count('not obeyed: BGPPeer "rack" spec.filters') == 1
        assert [notice.field for notice in agent.notices.all() if notice.name == "rack"] == ["spec.filters"]
        one.store.remove(peer)
        await until(lambda: not any(notice.name == "rack" for notice in agent.notices.all()))
        one.store.put(peer)
        await until(lambda: caplog.text.count('not obeyed: BGPPeer "rack" spec.filters') == 2)


async def test_the_allocator_sees_every_event_of_the_watch(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        assert len(one.observed) == 4
        assert one.observed[-1] == InSync()


@pytest.mark.parametrize(
    "poison",
    [
        # Refused when it is read today: an older version may have accepted it.
        IPPool.make("odd", cidr="10.66.0.0/16").with_spec(cidr="10.66.0.0/255.255.0.0"),
        IPPool.make("odd", cidr="10.66.0.0/16").with_spec(cidr="10.66.0.0/0.0.255.255"),
        affinity("10.65.4.0/26").with_spec(cidr="10.65.4.0/255.255.255.192"),
        affinity("10.65.4.0/26", "n2").with_spec(cidr="10.65.4.0/255.255.255.192"),
        endpoint("10.65.9.9/32", "c9", "odd").with_spec(ip_networks=("10.65.9.9/255.255.255.255",)),
        BGPPeer.make("odd", peerIP="192.0.2.9", asNumber=64512).with_spec(keepalive_time="9" * 400 + "h"),
    ],
    ids=str,
)
async def test_no_record_ends_an_agent_and_the_next_one_is_obeyed(tmp_path: Path, poison: Resource) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.store.put(poison, affinity("10.65.3.0/26"))
        await until(lambda: Prefix.parse("10.65.3.0/26") in one.peers.announced)


async def test_a_pool_that_overlaps_the_nodes_is_a_notice_as_long_as_it_does(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(), pool("192.0.2.0/24"))
    async with one.running() as agent:
        await until(lambda: bool(agent.notices.all()))
        [found] = agent.notices.all()
        assert found.reason == 'cidr 192.0.2.0/24 overlaps 192.0.2.0/24, the subnet of Node "n1"'
        assert one.avoided[ip_address("192.0.2.1")] == "an address of eth0 of this host"
        one.store.put(pool("192.0.2.0/24", disabled=True))
        await until(lambda: not agent.notices.all())


async def test_a_pool_that_is_gone_while_pods_have_addresses_of_it_is_a_notice_until_it_is_back(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.store.remove(pool())
        await until(lambda: [notice.name for notice in agent.notices.all()] == ["10.65.1.0/26"])
        one.store.put(pool())
        await until(lambda: not agent.notices.all())


async def test_a_pod_that_lies_in_no_pool_is_a_notice_until_it_ends(tmp_path: Path) -> None:
    agent, stray = FakeNode(tmp_path).agent, endpoint("10.9.9.9/32")
    gone = Gone(WorkloadEndpoint, stray.name, stray.namespace, stray)
    for event, found in ((Changed(stray), ["WorkloadEndpoint"]), (gone, [])):
        await bring_in_line(agent.outputs, agent.snapshot.fold(event))
        assert [notice.kind for notice in agent.notices.all()] == found


async def test_a_record_that_cannot_be_used_leaves_what_it_said_before_and_is_a_notice(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.store.put(pool().with_spec(cidr="10.65.0.0/255.255.0.0"), affinity("10.65.3.0/26"))
        await until(lambda: Prefix.parse("10.65.3.0/26") in one.peers.announced)
        [found] = [notice for notice in agent.notices.all() if notice.kind == "IPPool"]
        assert found.reason.startswith("it cannot be used (ValueError: not a prefix")
        one.store.put(pool())
        await until(lambda: not agent.notices.all())


async def test_an_output_that_fails_over_a_record_is_tried_again_and_ends_nothing(
    tmp_path: Path,
) -> None:
    one = FakeNode(tmp_path)
    tries: list[int] = []

    async def fail(*owners: object) -> None:
        tries.append(1)
        raise OverflowError("cannot convert float infinity to integer")

    async with one.running() as agent:
        agent.peering.configure = fail  # type: ignore[assignment, method-assign]
        one.store.put(affinity("10.65.3.0/26"))
        await until(lambda: tries)
        await until(lambda: Prefix.parse("10.65.3.0/26") in one.peers.announced)


async def test_nodes_that_come_while_what_follows_from_nodes_rests_are_acted_on_when_the_rest_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[int] = []

    def rest_seconds(nodes: int) -> float:
        rests.append(nodes)
        return 0.01

    monkeypatch.setattr(agent_module, "rest_seconds", rest_seconds)
    one = FakeNode(tmp_path)
    async with one.running():
        for number in (2, 3, 4):
            one.store.put(node(f"n{number}", f"192.0.2.{number}/24"))
            await until(partial(states, one, f"192.0.2.{number}"))
    assert rests[0] == 1  # the Node that there was


async def test_where_no_peer_is_judged_by_owners_a_claim_of_another_node_is_nothing_to_the_sessions(
    tmp_path: Path,
) -> None:
    def owned() -> set[Prefix]:
        return {prefix for prefix, _ in one.peers.speaker.local.owners} if one.peers.speaker else set()

    def block(number: int) -> Prefix:
        return Prefix.parse(f"10.65.{number}.0/26")

    one = FakeNode(tmp_path, node(), node("n2", "192.0.2.2/24"), pool(), affinity())
    async with one.running() as agent:
        await asyncio.sleep(2 * agent_module.HOST_SECONDS)  # what its addresses are due for is due before this timer
        await agent.attach(endpoint("10.65.9.8/32", "before", "before"), CALI.index)
        await until(lambda: Prefix.parse("10.65.9.8/32") in one.peers.announced)  # the last of what was due by then
        stated = one.deeds.count("configure")
        one.store.put(affinity("10.65.2.0/26", "n2"))
        await until(lambda: block(2) in agent.routing.tunnels.owners())
        await agent.attach(endpoint(str(BORROWED)), CALI.index)
        await until(lambda: BORROWED in one.peers.announced)  # by the pass in which the claim would be acted on, too
        assert one.deeds.count("configure") == stated
        one.store.put(BGPPeer.make("reflector", peerIP="192.0.2.9", asNumber=64512))
        await until(lambda: owned() == {block(2)})
        one.store.put(affinity("10.65.3.0/26", "n2"))
        await until(lambda: owned() == {block(2), block(3)})
        one.store.remove(affinity("10.65.2.0/26", "n2"))
        await until(lambda: owned() == {block(3)})


async def test_losing_the_datastore_cuts_no_pod_off_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = ClusterInformation.make("default", clusterGUID="ours")
    one = FakeNode(tmp_path, cluster, node(), pool(), affinity())
    async with one.running() as agent:
        assert (tmp_path / "cluster-guid").read_text() == "ours"
        one.add_device()
        await agent.attach(endpoint(), CALI.index)
        for lost in (cluster, node(), pool(), affinity()):
            one.store.remove(lost)
        await until(lambda: agent.progress.held_back)
        with pytest.raises(Unavailable, match="no ClusterInformation default"):
            await agent.attach(endpoint("10.65.1.3/32", "c2", "more"), CALI.index)
        assert (one.kernel.held(POD), one.kernel.held(BLOCK)) == (DEVICE, HOLE)
        assert "running pods keep their routes" in caplog.text
        one.store.put(cluster, node(), pool(), affinity())
        await until(lambda: not agent.progress.held_back)
        assert (one.kernel.held(POD), one.kernel.held(BLOCK)) == (DEVICE, HOLE)


async def test_a_watch_that_fails_is_begun_again_and_what_went_meanwhile_is_gone(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.store.objects.pop(key_of(affinity()))
        one.store.fail_watch(OSError("disk I/O error"))
        await until(lambda: one.kernel.held(BLOCK) is None)
        assert agent.snapshot.in_sync


async def test_a_kernel_that_fails_for_a_while_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = FakeNode(tmp_path)
    one.kernel.failure = KernelError("write a batch: no buffer space (ENOBUFS)")
    async with one.running(ready=False) as agent:
        await until(lambda: "no buffer space (ENOBUFS)" in caplog.text)
        one.kernel.failure = None
        await agent.ready()
        assert one.kernel.held(BLOCK) == HOLE
        assert one.kernel.dumps > 1


async def test_a_host_that_cannot_be_made_to_forward_has_its_routes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also those that come while it is waited for the next try, which does not come any sooner for that."""
    resets: list[Backoff] = []

    class Watched(Backoff):
        def reset(self) -> None:
            resets.append(self)

    def refuse(families: frozenset[int]) -> None:
        raise KernelError("set sysctl net/ipv4/ip_forward to 1: read-only file system (EROFS)")

    monkeypatch.setattr(agent_module, "FIRST_RETRY_SECONDS", LONGER_THAN_THE_TEST_SECONDS)
    monkeypatch.setattr(agent_module, "LAST_RETRY_SECONDS", LONGER_THAN_THE_TEST_SECONDS)
    monkeypatch.setattr(agent_module, "Backoff", Watched)
    one = FakeNode(tmp_path)
    one.agent.edges = replace(one.agent.edges, forward=refuse)
    async with one.running():
        await until(lambda: BLOCK in one.peers.announced)
        assert one.kernel.held(BLOCK) == HOLE
        await until(lambda: "bring in line forwarding: set sysctl net/ipv4/ip_forward to 1: read-only" in caplog.text)
        resets.clear()
        one.peers.report(Connected(), FROM_N2, ReplayEnd(True))
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)
        assert not resets


async def test_events_of_the_kernel_that_cannot_be_taken_in_are_followed_anew(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.kernel.foreign_remove(BLOCK)
        one.kernel.report(LinkChanged(None))  # type: ignore[arg-type]
        await until(lambda: one.kernel.held(BLOCK) == HOLE)
        one.kernel.report(one.kernel.foreign_remove(BLOCK))
        await until(lambda: one.kernel.held(BLOCK) == HOLE)


async def test_what_the_sidecar_sends_and_cannot_be_taken_in_has_it_asked_again(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running():
        one.peers.report(Learned({REMOTE: None}))  # type: ignore[dict-item]
        await until(lambda: one.peers.runs == 2)
        one.peers.report(FROM_N2)
        await until(lambda: one.kernel.held(REMOTE) == LEARNED)


async def test_pods_get_the_families_of_pools_in_which_the_node_has_an_address(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(), pool(), IPPool.make("six", cidr="fd80::/64"))
    async with one.running() as agent:
        assert agent.pod_families() == {4}


async def test_own_addresses_decide_the_mtu_from_the_start(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    one.kernel.set_link(replace(ETH0, mtu=1400))
    one.kernel.device_addresses = [ADDRESS]
    async with one.running():
        await until(one.mtu_file.exists)
        assert one.mtu_file.read_text() == "1400"


async def test_a_pod_whose_record_cannot_be_read_keeps_its_route_over_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = (Prefix.parse("10.65.0.9/32"), RouteSpec(80, 1030, hops=(NextHop(7),), scope=253))
    one = FakeNode(tmp_path, routes=[left])
    one.store.unreadable_at_start.append(Unreadable(WorkloadEndpoint, "odd", "default", "no JSON"))
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        assert (left[0], 1030) in one.kernel.routes
        assert any("WorkloadEndpoint default/odd cannot be read" in line for line in caplog.messages)
        assert [notice.name for notice in agent.notices.all()] == ["default/odd"]
        one.store.report(Gone(WorkloadEndpoint, "odd", "default"))
        await until(lambda: (left[0], 1030) not in one.kernel.routes)
