"""One agent over fakes: node n1 with the pool 10.65.0.0/16 and the block 10.65.1.0/26, in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from datastore.fields import Address
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import WatchEvent
from felix_py.agent import Agent
from felix_py.configuration.settings import settings_from
from felix_py.edges import Edges, HostDevices
from felix_py.identity import Addresses, Identity
from felix_py.node.own_node_changes import OwnNodeChanges
from ipam.names import affinity_name, cidr_name
from kernel.link_codec import Link
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fakes import FakeKernel, FakePacketTable, FakePeers, FakeStore, FakeTunnelDevice

CALI = Link(7, "cali0", up=True, carrier=True, mtu=1500, mac=bytes(6), kind="veth")
BLOCK, POD, BORROWED = map(Prefix.parse, ("10.65.1.0/26", "10.65.1.2/32", "10.65.9.9/32"))
REMOTE = Prefix.parse("10.65.2.0/26")
HOLE = RouteSpec(80, kind=BLACKHOLE, metric=1030)
DEVICE = RouteSpec(80, hops=(NextHop(7),), metric=1030, scope=253)
LEARNED = RouteSpec(81, hops=(NextHop(2, pack("192.0.2.2")),), metric=1030)


def node(name: str = "n1", address: str = "192.0.2.1/24", **annotations: str) -> Node:
    return Node.make(name, annotations={"projectcalico.org/IPv4Address": address, **annotations})


def pool(cidr: str = "10.65.0.0/16", **spec: Any) -> IPPool:
    return IPPool.make("pods", cidr=cidr, blockSize=26, **spec)


def affinity(cidr: str = "10.65.1.0/26", owner: str = "n1", state: str = "confirmed") -> BlockAffinity:
    return BlockAffinity.make(
        affinity_name(owner, cidr), cidr=cidr, node=owner, state=state, type="host", deleted="false"
    )


def endpoint(address: str = "10.65.1.2/32", container: str = "c1", name: str = "web") -> WorkloadEndpoint:
    return WorkloadEndpoint.make(
        f"n1-k8s-{name}-eth0",
        namespace="default",
        node="n1",
        orchestrator="k8s",
        pod=name,
        endpoint="eth0",
        containerID=container,
        interfaceName="cali0",
        ipNetworks=[address],
    )


def block(cidr: str, owner: str | None, *holders: str | None, **attribute: str) -> IPAMBlock:
    """Return a block whose first addresses are held by these nodes; None leaves one free."""
    nodes = [holder for holder in holders if holder]
    slots = [nodes.index(holder) if holder else None for holder in holders]
    size = 1 << 32 - int(cidr.rpartition("/")[2])
    return IPAMBlock.make(
        cidr_name(cidr),
        cidr=cidr,
        affinity=f"host:{owner}" if owner else None,
        strictAffinity=False,
        allocations=[*slots, *[None] * (size - len(slots))],
        unallocated=[n for n in range(size) if n >= len(slots) or slots[n] is None],
        attributes=[{"handle_id": f"h-{holder}", "secondary": {"node": holder}, **attribute} for holder in nodes],
    )


class FakeNode:
    """The fakes around one agent, and the list of their deeds in order."""

    def __init__(
        self,
        folder: Path,
        *resources: Resource,
        routes: Iterable[tuple[Prefix, RouteSpec]] = (),
        **settings: str,
    ) -> None:
        self.deeds: list[str] = []
        self.kernel = FakeKernel(routes, deeds=self.deeds)
        self.kernel.reached[pack("192.0.2.2")] = NextHop(2, pack("192.0.2.2"))
        self.peers = FakePeers(self.deeds)
        self.tunnel = FakeTunnelDevice(self.deeds)
        self.table = FakePacketTable()
        self.store = FakeStore(*(resources or (node(), pool(), affinity())))
        self.observed: list[WatchEvent] = []
        self.own_node_changes = OwnNodeChanges("n1")
        self.avoided: dict[Address, str] = {}
        self.levels: list[str] = []
        self.claimed: list[Prefix] = []
        self.left: list[WorkloadEndpoint] = []
        """What the agent before attached and did not write on."""
        self.mtu_file = folder / "mtu"
        self.agent = Agent(
            settings_from({"FELIX_MTUFILE": str(self.mtu_file), "FELIX_STATE_DIR": str(folder), **settings}),
            Identity("n1", Addresses(pack("192.0.2.1"), None)),
            Edges(
                self.store,
                self.kernel,
                self.peers,
                self.tunnel,
                self.table,
                observe=self._observe,
                host_changed=self.own_node_changes.host_changed,
                avoid=self.avoided.update,
                log_from=self.levels.append,
                claimed=lambda: self.claimed,
                take_up=self._take_up,
            ),
        )

    def _observe(self, event: WatchEvent) -> None:
        self.observed.append(event)
        self.own_node_changes.fold(event)

    async def _take_up(self) -> list[WorkloadEndpoint]:
        return self.left

    @asynccontextmanager
    async def running(self, *, ready: bool = True, found: HostDevices | None = None) -> AsyncIterator[Agent]:
        """Run the agent meanwhile; with `ready`, from the moment that pods may be attached. Raises what ends it."""
        task = asyncio.create_task(self.agent.run(found))
        try:
            if ready:
                waiting = asyncio.create_task(self.agent.ready())
                await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
            yield self.agent
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def add_device(self, link: Link = CALI) -> None:
        self.kernel.report(self.kernel.set_link(link))
