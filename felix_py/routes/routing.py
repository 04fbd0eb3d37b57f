"""Every source of this node's routes, the RIB they state into, and the writer that carries it to the kernel.

An edge: it asks the kernel how next hops are reached, and writes. What each source wants is decided by the pure parts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from bgp.protocol import PER_LINE
from bgp.speaker import LearnedPaths
from felix_py.edges import Kernel
from felix_py.encap.ipip import IPIP
from felix_py.host.host import Host
from felix_py.routes.fib import Fib, Ownership
from felix_py.routes.next_hops import NextHopKey, Table
from felix_py.routes.rib import Rib, Source, is_resolved
from felix_py.routes.sources import LearnedRoutes, PodRoutes, block_routes
from felix_py.routes.static_routes import gateways, static_routes
from felix_py.routes.tunnels import TunnelRoutes, remote_tunnels, tunnel_settings
from felix_py.routes.writer import FibWriter
from felix_py.snapshot import Endpoint, Snapshot
from kernel.link_codec import Link
from kernel.route import NextHop
from kernel.route_order import has_easy_order
from net.prefix import Prefix

log = logging.getLogger("felix.routing")

LULL_TURNS = 4  # of the loop: a line that has come is heard within three
MOST_HEARD_OUT = 200_000
"""Of routes that are due no more are waited for: withdrawals and others' tables are due with them."""


class RouteRefused(Exception):
    """The kernel does not take a pod's route."""


class Routing:
    """The routes of one node, from its snapshot, its host and its peers."""

    def __init__(
        self,
        ownership: Ownership,
        kernel: Kernel,
        snapshot: Snapshot,
        host: Host,
        wake: Callable[[], None],
        tunnel_mtu: int = 0,
    ) -> None:
        """wake: asks for `write` soon. tunnel_mtu: what this node's settings say, before any FelixConfiguration."""
        self._tunnel_mtu = tunnel_mtu
        self._kernel, self._snapshot, self._host, self._wake = kernel, snapshot, host, wake
        self.ownership = ownership
        self.rib = Rib()
        self.pods = PodRoutes(ownership)
        self.tunnels = TunnelRoutes(ownership, IPIP, snapshot.node, use_pod_cidrs=snapshot.use_pod_cidrs)
        self.learned = LearnedRoutes(ownership)
        self.gateways: Mapping[Prefix, bytes] = {}  # of static routes
        self.writer = FibWriter(kernel, self.rib, Fib(ownership), wake, host.names)
        self._table = Table(self.rib, self.writer.fib, self.learned.routes, self._ask, host.has)

    # From snapshot and host

    async def state_pods(self) -> None:
        """State the routes of the pods that changed, or whose device did."""
        endpoints = self._snapshot.endpoints
        for key in self._snapshot.take_changed() | self._snapshot.on_devices(self._host.take_changed()):
            self.pods.update(self.rib, key, endpoints.get(key), self._host.up)

    async def state_blocks(self) -> None:
        self.rib.state(Source.BLOCKS, block_routes(self._snapshot.own_blocks(), self.ownership))

    async def state_static(self) -> None:
        self.gateways = gateways(self._snapshot.peers.values(), self._snapshot.nodes.get(self._snapshot.node))
        self.rib.state(Source.STATIC, static_routes(self.gateways, self._table.on_link, self.ownership))

    async def update_tunnels(self) -> None:
        """Work out what all routes into the tunnel have in common, and where they end."""
        nodes, pools = self._snapshot.nodes, self._snapshot.pools.values()
        device = self._host.up.get(IPIP.device, 0)
        settings = tunnel_settings(IPIP, pools, nodes.get(self._snapshot.node), device, self.tunnel_mtu())
        self.tunnels.update(settings, remote_tunnels(IPIP, nodes.values(), pools), self.learned.routes)

    async def state_tunnels(self) -> None:
        self.tunnels.state(self.rib)

    def tunnel_mtu(self) -> int:
        """Return the MTU of the tunnel at present, whether a pool wants one or not."""
        return self._tunnel_mtu or IPIP.mtu(self._host.mtu, self._snapshot.felix_configurations, self._snapshot.node)

    def tunnel_wanted(self) -> bool:
        return any(IPIP.wanted_by(pool.resource) for pool in self._snapshot.pools.values())

    # From the peers

    def learn(self, routes: Mapping[Prefix, LearnedPaths]) -> None:
        self.learned.resolved(self.rib, self._resolve(self.learned.unknown(routes.values())))
        self.learned.put(self.rib, routes)
        if self.tunnels.learn(routes):
            self.tunnels.state(self.rib)
        self._wake()

    def withdraw(self, prefixes: Iterable[Prefix]) -> None:
        prefixes = tuple(prefixes)
        self.learned.remove(self.rib, prefixes)
        if self.tunnels.withdraw(prefixes):
            self.tunnels.state(self.rib)
        self.writer.withdrawn(prefixes)
        self._wake()

    def all_learned(self) -> None:
        """Every peer has sent its table, or its time is over: learned routes that nothing wants may go."""
        self.writer.allow_removal(self.ownership.learned)

    async def resolve_next_hops(self) -> None:
        """Ask anew how next hops are reached: the host's own routes, devices or addresses changed."""
        self.learned.resolved(self.rib, self._resolve(self.learned.known()))
        self.writer.retry_refused()

    def _resolve(self, next_hops: Iterable[NextHopKey]) -> dict[NextHopKey, NextHop | None]:
        return {next_hop: self._table.way_of(next_hop) for next_hop in next_hops}

    def _ask(self, address: bytes) -> NextHop | None:
        return self._kernel.resolve(address, avoid=(self.ownership.learned,))

    def unreachable_next_hops(self) -> list[str]:
        static = self.rib.wanted(Source.STATIC)
        gateways = {self.gateways[prefix] for prefix, spec in static.items() if not is_resolved(spec)}
        return sorted(map(str, self.learned.unreachable() | set(map(NextHopKey, gateways))))

    # Into the kernel

    async def allow_local_removal(self) -> None:
        """The datastore is in sync, and all that pods, blocks and tunnels want is stated: the rest may go.

        Not while a record of a pod cannot be read: a route that nothing wants may be that pod's.
        """
        if self._snapshot.unreadable:
            names = ", ".join(sorted(f"{key.namespace}/{key.name}" for key in self._snapshot.unreadable))
            log.error("remove stale routes: WorkloadEndpoint %s cannot be read; none is removed until it can", names)
            return
        self.writer.allow_removal(self.ownership.local)

    async def hear_out(self) -> None:
        """Return when, of an IPv4 table that is being heard, no more has come for some turns of the loop.

        A full line is most likely followed by another, and what is due together is less work for the kernel
        (`kernel.route_order`). Whatever is fewer, or is there in full, does not wait.
        """
        while PER_LINE <= (heard := len(self.rib.changed)) < MOST_HEARD_OUT:
            if not has_easy_order(next(reversed(self.rib.changed))):
                return
            for _ in range(LULL_TURNS):
                await asyncio.sleep(0)
            if len(self.rib.changed) == heard:
                return

    async def write(self) -> None:
        """Write what is due. Next hops that lie in what changed are looked at again first: ways may lead through it."""
        if self.learned.concerned(self.rib.changed):
            self.learned.resolved(self.rib, self._resolve(self.learned.known()))
        await self.writer.write()

    def lost_device(self, link: Link) -> None:
        """Take in that a device went down or away, and its routes with it. The host has not folded that in yet."""
        names = {link.name, self._host.names.get(link.index, link.name)}
        among: list[Prefix] | None = None
        if self._snapshot.in_sync and self._host.was_pods(link):
            endpoints = self._snapshot.endpoints
            among = [address for key in self._snapshot.on_devices(names) for address in endpoints[key].addresses]
        self.writer.lost_device(link.index, among)
        self.pods.forget_device(link.index)

    def require(self, pod: Endpoint) -> None:
        """Raise RouteRefused if the kernel does not hold a pod's routes after a write."""
        for address in pod.addresses:
            if refused := self.writer.refused.get(address):
                raise RouteRefused(f"put the route {address} dev {pod.device}: {refused.text}")
            if other := self.writer.fib.conflicting.get(address):
                raise RouteRefused(
                    f"put the route {address} dev {pod.device}: a route of protocol {other.protocol} is there "
                    f"with our metric {other.metric} and was before ours; it is left alone; remove it"
                )
