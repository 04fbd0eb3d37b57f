"""What an agent reports of itself: a real one, over fakes of its edges.

n1 192.0.2.1 ── n2; the pod default/a is on cali1.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bgp.client import SidecarError
from bgp.protocol import Learned
from bgp.speaker import LearnedPath
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from datastore.store import Changed, InSync, Interest, WatchEvent
from felix_py.agent import Agent
from felix_py.configuration.settings import settings_from
from felix_py.edges import Edges
from felix_py.identity import Addresses, Identity
from felix_py.status import agent_status
from felix_py.status.agent_status import AgentReporter
from felix_py.status_model import (
    BrokenInvariant,
    InvariantReport,
    PodStatus,
    RouteIssue,
    RouteStatus,
    SessionStatus,
    SidecarStatus,
)
from kernel.events import Refused
from kernel.link_codec import Link
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.datastore.memory_store import MemoryStore
from tests.felix_py.fakes import ETH0, FakeKernel, FakePacketTable, FakePeers, FakeTunnelDevice

CALI1 = Link(7, "cali1", up=True, carrier=True, mtu=1500, mac=bytes(6))
POD, BLOCK = Prefix.parse("10.65.1.1/32"), Prefix.parse("10.65.1.0/26")
FAR_BLOCK, LOST_BLOCK = Prefix.parse("10.65.2.0/26"), Prefix.parse("10.65.3.0/26")
REFLECTOR, N2, AWAY = "192.0.2.9", pack("192.0.2.2"), pack("198.51.100.2")
RESOURCES: tuple[Resource, ...] = (
    Node.make("n1", bgp={"ipv4Address": "192.0.2.1/24"}),
    Node.make("n2", bgp={"ipv4Address": "192.0.2.2/24"}),
    BlockAffinity.make("n1-10-65-1-0-26", cidr=str(BLOCK), node="n1", state="confirmed", deleted="false"),
    WorkloadEndpoint.make(
        "n1-k8s-a-eth0",
        "default",
        orchestrator="k8s",
        node="n1",
        pod="a",
        endpoint="eth0",
        interfaceName="cali1",
        ipNetworks=[str(POD)],
    ),
)


class ResourcesOnce(MemoryStore):
    """A store whose watch reports its resources and then nothing more."""

    async def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        for resource in RESOURCES:
            yield Changed(resource)
        yield InSync()
        await asyncio.Event().wait()


class FakeChecks:
    """One invariant is violated."""

    def last_report(self) -> InvariantReport:
        return InvariantReport(8, (BrokenInvariant(1, "two owners"),))

    async def run(self) -> InvariantReport:
        return self.last_report()


@dataclass
class FakeSidecar:
    """Answers with this report; None: it is away."""

    answer: Mapping[str, Any] | None = field(
        default_factory=lambda: {
            "problem": "",
            "peers": [
                {"address": REFLECTOR, "kind": "global", "as_number": 64512, "state": "up", "since": 1.0},
                {"address": "192.0.2.8", "kind": "node", "as_number": 64512, "state": "held back", "info": "filters"},
            ],
        }
    )

    hangs: bool = False

    async def report(self) -> Mapping[str, Any]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.answer is None:
            raise SidecarError("ask the sidecar: no such socket")
        return self.answer


@dataclass
class Running:
    """An agent that has written what its datastore says, and what of it can be changed."""

    agent: Agent
    kernel: FakeKernel
    peers: FakePeers
    tunnel: FakeTunnelDevice
    sidecar: FakeSidecar = field(default_factory=FakeSidecar)

    @property
    def reporter(self) -> AgentReporter:
        return AgentReporter(self.agent, self.sidecar.report, FakeChecks())

    async def routes(self, within: Prefix | None = None) -> dict[tuple[str, str], RouteStatus]:
        """Return the routes by source and prefix."""
        return {(one.source, str(one.prefix)): one async for one in self.reporter.routes(within)}

    async def until_held(self, prefix: Prefix) -> None:
        for _ in range(1000):
            if self.kernel.held(prefix):
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{prefix} was not written")


@asynccontextmanager
async def running(tmp_path: Any, *leftovers: tuple[Prefix, RouteSpec]) -> AsyncIterator[Running]:
    settings = settings_from({"FELIX_MTUFILE": str(tmp_path / "mtu"), "FELIX_CNIBINDIR": str(tmp_path / "bin")}, {})
    identity = Identity("n1", Addresses(pack("192.0.2.1"), None))
    kernel, peers, tunnel = FakeKernel(leftovers, links=(ETH0, CALI1)), FakePeers(), FakeTunnelDevice()
    kernel.reached[N2] = NextHop(ETH0.index, N2)
    agent = Agent(settings, identity, Edges(ResourcesOnce(), kernel, peers, tunnel, FakePacketTable()))
    work = asyncio.create_task(agent.run())
    try:
        async with asyncio.timeout(20):
            await agent.ready()
        agent.progress.attach_refused = None
        peers.report(Learned({FAR_BLOCK: (LearnedPath(N2, REFLECTOR),), LOST_BLOCK: (LearnedPath(AWAY, REFLECTOR),)}))
        found = Running(agent, kernel, peers, tunnel)
        await found.until_held(FAR_BLOCK)
        yield found
    finally:
        work.cancel()
        await asyncio.wait([work])


async def test_the_status_is_what_the_agents_parts_know(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        status = await found.reporter.status()
    assert (status.node, status.addresses, status.ready) == ("n1", ("192.0.2.1",), True)
    assert (status.blocks, status.announced, status.as_number) == ((BLOCK,), (BLOCK,), 64512)
    assert status.pods == (PodStatus("default", "n1-k8s-a-eth0", "cali1", ("10.65.1.1",)),)
    assert status.routes == {"pods": 1, "tunnels": 0, "static": 0, "learned": 2, "blocks": 1}
    assert status.unreachable_next_hops == ("198.51.100.2",)
    assert status.invariants.violated == (BrokenInvariant(1, "two owners"),)
    assert status.tunnels == {}, "no pool wants one"


async def test_sessions_are_the_sidecars_those_held_back_too(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        status = await found.reporter.status()
    assert status.sidecar == SidecarStatus(connected=True)
    assert status.peers[0] == SessionStatus(REFLECTOR, "global", "up", 1.0, as_number=64512)
    assert (status.peers[1].is_held_back, status.peers[1].info) == (True, "filters")


async def test_a_sidecar_that_is_away_is_named_and_the_rest_is_reported(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        found.sidecar.answer = None
        status = await found.reporter.status()
    assert status.sidecar == SidecarStatus(connected=False, problem="ask the sidecar: no such socket")
    assert (status.peers, status.node) == ((), "n1")


async def test_a_sidecar_that_hangs_has_its_own_line_and_the_rest_is_reported(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_status, "SIDECAR_SECONDS", 0.01)
    async with running(tmp_path) as found:
        found.sidecar.hangs = True
        status = await found.reporter.status()
    assert (status.sidecar.connected, status.node) == (False, "n1")
    assert status.sidecar.problem.endswith("it hangs")


async def test_every_source_has_its_routes_and_a_learned_one_its_peers(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        routes = await found.routes()
    pod, block = routes["pods", str(POD)], routes["blocks", str(BLOCK)]
    assert (str(pod.route), pod.best, pod.in_fib) == (
        "10.65.1.1/32 dev cali1 proto 80 metric 1030 scope link",
        True,
        True,
    )
    assert (block.route.kind, block.peers) == ("blackhole", ())
    learned = routes["learned", str(FAR_BLOCK)]
    assert (learned.route.gateway, learned.peers, learned.in_fib) == ("192.0.2.2", (REFLECTOR,), True)


async def test_a_route_that_is_not_in_the_kernel_says_why(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        found.kernel.refused[POD] = "no buffer (ENOBUFS)"
        lost = (await found.routes())["learned", str(LOST_BLOCK)]
    assert lost.note and (lost.note.issue, lost.note.next_hops) == (
        RouteIssue.NEXT_HOP_UNREACHABLE,
        ("198.51.100.2",),
    )
    assert not lost.best and not lost.in_fib


async def test_of_a_route_that_went_without_an_event_it_is_said_that_the_kernel_lacks_it(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        found.kernel.foreign_remove(FAR_BLOCK)
        assert not (await found.routes())["learned", str(FAR_BLOCK)].in_fib


async def test_routes_of_before_are_listed_until_they_are_removed(tmp_path: Any) -> None:
    old = Prefix.parse("10.65.9.0/26")
    async with running(tmp_path, (old, RouteSpec(81, 1030, BLACKHOLE))) as found:
        left = (await found.routes())["", str(old)]
    assert left.in_fib and left.note
    assert left.note.issue is RouteIssue.WAITS_FOR_PEERS


async def test_routes_can_be_asked_for_by_prefix(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        assert set(await found.routes(POD)) == {("pods", str(POD)), ("blocks", str(BLOCK))}
        assert set(await found.routes(Prefix.parse("10.65.2.0/23"))) == {
            ("learned", str(FAR_BLOCK)),
            ("learned", str(LOST_BLOCK)),
        }


async def test_counts_are_those_of_the_tables(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        counts = found.reporter.counts()
    assert (counts.pods, counts.nodes, counts.blocks, counts.routes_held) == (1, 2, 1, 3)
    assert (counts.routes_unresolved, counts.invariants_violated, counts.ready) == (1, 1, True)
    assert (counts.route_puts, counts.route_repairs) == (3, 0)


async def test_the_tunnel_is_reported_when_something_is_wrong_with_it(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        found.tunnel.problem = "this kernel has no IPIP"
        assert (await found.reporter.status()).tunnels["ipip"].problem == "this kernel has no IPIP"


async def test_nat_that_is_not_carried_out_reaches_status_metrics_and_traces(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        found.agent.edges.table.problem = "natOutgoing is not carried out"  # type: ignore[misc]
        assert list(map(str, found.reporter.progress().in_the_way)) == ["natOutgoing is not carried out"]
        assert found.reporter.counts().warnings == 1
        trace = await found.reporter.trace(Prefix.host("127.0.0.1"), POD)
        assert trace.table_problem == "natOutgoing is not carried out"


async def test_a_trace_has_the_routes_that_hold_an_address_longest_first(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        trace = await found.reporter.trace(Prefix.host("127.0.0.1"), POD)
    assert [row.source for row in trace.wanted["10.65.1.1"]] == ["pods", "blocks"]
    assert trace.announced == (BLOCK,)
    assert trace.kernel.routes["127.0.0.1"] is not None, "read from the kernel that runs this test"


async def test_what_the_kernel_refuses_is_told_with_its_reason_and_of_thousands_some(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        refusal = Refused(POD, RouteSpec(80, metric=1030), 19, "No such device (ENODEV)")
        refused = {Prefix.parse(f"10.9.{high}.{low}/32"): refusal for high in range(2) for low in range(100)}
        found.agent.routing.writer.refused.update(refused)
        status = await found.reporter.status()
        assert status.refused_routes["10.9.0.0/32"] == "No such device (ENODEV)"
        assert len(status.refused_routes) == agent_status.MOST_REFUSED and found.reporter.counts().routes_refused == 200


async def test_a_lock_is_told_and_makes_no_node_unready(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        assert found.reporter.progress().locked == ""
        found.agent.snapshot.locked = True
        progress = found.reporter.progress()
        assert "datastoreReady false" in progress.locked and not progress.missing
