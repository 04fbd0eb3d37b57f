"""The agent's loop: wake, fold, decide, carry out, report.

An edge: it owns the tasks that listen (datastore, kernel, sidecar) and calls the pure parts in between. Every
listener only folds what it heard and wakes the one task that writes; attaching a pod writes at once, because a
container runtime is waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Literal

from bgp.client import Connected, Disconnected, SidecarClient
from bgp.protocol import Converged, Learned, Problem, ReplayEnd, Withdrawn
from bgp.sessions import speaker_of
from bgp.speaker import Attributes, Speaker
from datastore.kinds.pods import WorkloadEndpoint
from datastore.notices import Notice
from datastore.store import Store
from datastore.store import WatchEvent as StoreEvent
from felix_py.announce import Addresses, Pool, borrowed, rib_out
from felix_py.fib import Fib, Ownership
from felix_py.files import write_text
from felix_py.rib import Rib, Source
from felix_py.settings import Settings
from felix_py.snapshot import WATCHED, Endpoint, Snapshot, Topic
from felix_py.sources import LearnedRoutes, PodRoutes, block_routes
from felix_py.tunnel_device import TunnelEnd
from felix_py.tunnels import IPIP_DEVICE, TunnelRoutes, far_ends, ground_of, ipip_mtu, pod_mtu, wants_ipip
from felix_py.writer import FibWriter
from kernel.events import AddressChanged, EventsLost, KernelEvent, LinkChanged, RouteChanged
from kernel.link_codec import Link
from kernel.rtnetlink import Rtnetlink
from net.prefix import Prefix, unpack

log = logging.getLogger("felix.agent")

SIDECAR_PATIENCE_SECONDS = 30.0
RESOLVE_AGAIN_SECONDS = 0.02  # changes of the host's own routes come in bursts
TUNNEL_AGAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is, as start-up found out."""

    node: str
    addresses: Addresses
    router_id: IPv4Address | Literal["hash"] | None = None
    host_mtu: int = 1500


@dataclass(slots=True)
class Progress:
    """How far the agent is: what readiness is made of."""

    fib_read: bool = False
    datastore_in_sync: bool = False
    first_write: bool = False
    sidecar_connected: bool = False
    learned_settled: bool = False

    @property
    def ready(self) -> bool:
        return self.fib_read and self.datastore_in_sync and self.first_write


class Agent:
    """Makes this node's kernel and this node's announcements match what the cluster says."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        store: Store,
        kernel: Rtnetlink,
        sidecar: SidecarClient,
        tunnel_end: TunnelEnd,
        notice: Callable[[StoreEvent], None],
    ) -> None:
        """notice: is told every event of the datastore too: the allocator, which so needs no watch of its own."""
        self.settings, self.identity = settings, identity
        self.ownership = Ownership(settings.protocol, settings.learned_protocol, settings.metric)
        self.snapshot = Snapshot(identity.node)
        self.rib = Rib()
        self.learned = LearnedRoutes(self.ownership)
        self.progress = Progress()
        self.links: dict[int, Link] = {}
        self.speaker: Speaker | None = None
        self.session_notices: tuple[Notice, ...] = ()
        self.announced: Mapping[Prefix, Attributes] = {}
        self.tunnels, self.tunnel_end = TunnelRoutes(self.ownership), tunnel_end
        self._store, self._kernel, self._sidecar = store, kernel, sidecar
        self._notice = notice
        self._awake = asyncio.Event()
        self._ready = asyncio.Event()
        self._tunnel_due = asyncio.Event()
        self._due = Topic.NOTHING
        self._pods = PodRoutes(self.ownership)
        self._devices: dict[str, int] = {}  # devices that are up, by name
        self._resolving: asyncio.TimerHandle | None = None
        self._sidecar_away_since: float | None = None
        self.writer = FibWriter(kernel, self.rib, Fib(self.ownership), self._awake.set)

    async def run(self) -> None:
        """Run until cancelled. A task that fails takes the agent down: whoever supervises it starts it anew."""
        self._read_links()
        await self.writer.read_all()
        self.progress.fib_read = True
        async with asyncio.TaskGroup() as tasks:
            for listener in self._listeners():
                tasks.create_task(listener)

    def _listeners(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._watch_datastore(),
            self._watch_kernel(),
            self._sidecar.run(),
            self._hear_peers(),
            self._write_when_woken(),
            self._tend_the_tunnel(),
            self._read_all_at_times(),
        ]

    async def ready(self) -> None:
        """Return when the datastore is in sync and the kernel has what it says: pods may be attached."""
        await self._ready.wait()

    # What wakes us

    async def _watch_datastore(self) -> None:
        async for event in self._store.watch(*WATCHED):
            self._notice(event)
            self._due |= self.snapshot.fold(event)
            self.progress.datastore_in_sync = self.snapshot.in_sync
            if self.snapshot.in_sync and (self._due or self.snapshot.touched or self.snapshot.whereabouts.moved):
                self._awake.set()

    async def _watch_kernel(self) -> None:
        async for batch in self._kernel.events():
            for event in batch:
                await self._heard_kernel(event)
            if self.rib.changed or self.snapshot.touched:
                self._awake.set()

    async def _heard_kernel(self, event: KernelEvent) -> None:
        match event:
            case RouteChanged(own=True):
                self.writer.own_change(event)
            case RouteChanged():
                if not self.writer.foreign_change(event, repair=self.settings.repair):
                    self._resolve_soon()
            case LinkChanged(link=link, gone=gone):
                self._link_changed(link, gone)
            case AddressChanged(address=address):
                if address.index == self._devices.get(IPIP_DEVICE):
                    self._tunnel_due.set()
                self._resolve_soon()
                self.writer.retry_now()
            case EventsLost():
                log.warning("kernel events came faster than they were read; reading all links and routes again")
                self._read_links()
                self.snapshot.touched |= self.snapshot.endpoints.keys()
                await self.writer.read_all()
                self._resolve_soon()

    def _read_links(self) -> None:
        self.links = self._kernel.links()
        self._devices = {link.name: link.index for link in self.links.values() if link.up}
        self.writer.names = {index: link.name for index, link in self.links.items()}

    def _link_changed(self, link: Link, gone: bool) -> None:
        before = self.links.pop(link.index, None)
        if before is not None and self._devices.get(before.name) == link.index:
            del self._devices[before.name]
        if gone:
            self.writer.names.pop(link.index, None)
        else:
            self.links[link.index] = link
            self.writer.names[link.index] = link.name
        names = {link.name, before.name if before else link.name}
        of_pod = self.snapshot.in_sync and any(name.startswith(self.settings.interface_prefix) for name in names)
        pods = [endpoint for endpoint in self.snapshot.endpoints.values() if endpoint.device in names]
        if gone or not link.up:
            addresses = [address for pod in pods for address in pod.addresses]
            self.writer.lost_device(link.index, among=addresses if of_pod else None)
            self._pods.forget_device(link.index)
        else:
            self._devices[link.name] = link.index
        self.snapshot.touched.update(pod.key for pod in pods)
        if of_pod:
            return
        if IPIP_DEVICE in names:
            self._tunnel_due.set()
            self._due |= Topic.TUNNELS
            self._awake.set()
        if before is None or gone or (before.up, before.carrier) != (link.up, link.carrier):
            self._resolve_soon()
            self.writer.retry_now()

    async def _hear_peers(self) -> None:
        async for event in self._sidecar.events():
            match event:
                case Connected():
                    self.progress.sidecar_connected = True
                    self._sidecar_away_since = None
                case Learned(routes=routes):
                    self.learned.resolved(self.rib, self._resolve(self.learned.unknown(routes.values())))
                    self.learned.put(self.rib, routes)
                case Withdrawn(prefixes=prefixes):
                    self.learned.remove(self.rib, prefixes)
                case ReplayEnd(settled=True) | Converged():
                    self._all_learned()
                case Problem(text=text):
                    log.warning("the sidecar says: %s", text)
                case Disconnected():
                    self.progress.sidecar_connected = False
                    self._sidecar_away_since = asyncio.get_running_loop().time()
            if self.rib.changed:
                self._awake.set()

    def _all_learned(self) -> None:
        """Every peer has sent its table, or its time is over: learned routes that nothing wants may go."""
        self.progress.learned_settled = True
        self.writer.allow_removal(self.ownership.learned)

    # Next hops

    def _resolve(self, addresses: set[bytes]) -> dict[bytes, Any]:
        return {address: self._kernel.resolve(address, avoid=(self.ownership.learned,)) for address in addresses}

    def _resolve_soon(self) -> None:
        if self._resolving is None:
            loop = asyncio.get_running_loop()
            self._resolving = loop.call_later(RESOLVE_AGAIN_SECONDS, self._resolve_again)

    def _resolve_again(self) -> None:
        self._resolving = None
        self.learned.resolved(self.rib, self._resolve(self.learned.known()))
        if self.rib.changed:
            self._awake.set()

    # What we do about it

    async def _write_when_woken(self) -> None:
        while True:
            await self._awake.wait()
            self._awake.clear()
            await self._round()

    async def _round(self) -> None:
        """Work out what is due, write it, then tell the peers: nobody is told of a block before we hold its routes."""
        if not self.snapshot.in_sync:
            await self.writer.write()
            return
        due, self._due = self._due, Topic.NOTHING
        borrowers_moved = self._state_pods()
        if due & Topic.BLOCKS:
            self.rib.state(Source.BLOCKS, block_routes(self.snapshot.own_blocks(), self.ownership))
        if due & (Topic.TUNNELS | Topic.POOLS | Topic.SESSIONS):
            self._find_ground()
        self.tunnels.state(self.rib, self.snapshot.whereabouts)
        if not self.progress.first_write:
            self.writer.allow_removal(self.ownership.local)
        await self.writer.write()
        if not self.progress.first_write:
            self.progress.first_write = True
            self._ready.set()
        if due & (Topic.TUNNELS | Topic.POOLS):
            self._tunnel_due.set()
        if due & (Topic.SESSIONS | Topic.BLOCKS | Topic.POOLS):
            await self._configure()
        if borrowers_moved or due & (Topic.BLOCKS | Topic.POOLS | Topic.TUNNELS):
            await self._announce()

    def _state_pods(self) -> bool:
        """State the routes of the pods that were touched; return True if that may change what we announce."""
        uncovered = False
        for key in self.snapshot.take_touched():
            addresses = self._pods.update(self.rib, key, self.snapshot.endpoints.get(key), self._devices)
            uncovered = uncovered or not all(map(self._covered, addresses))
        return uncovered

    def _find_ground(self) -> None:
        """Work out what all tunnels have in common, where they end, and what room they leave for a pod's packet."""
        pools, nodes = self.snapshot.pools.values(), self.snapshot.nodes
        mtu, device = self._tunnel_mtu(), self._devices.get(IPIP_DEVICE, 0)
        ground = ground_of(pools, nodes.get(self.identity.node), device, mtu)
        self.tunnels.stand_on(ground, far_ends(nodes.values(), pools), self.snapshot.whereabouts)
        write_text(self.settings.mtu_file, str(self.pod_mtu()))

    def pod_mtu(self) -> int:
        """Return the MTU that a pod gets at present: as set, else what host and tunnels leave."""
        if self.settings.mtu:
            return self.settings.mtu
        return pod_mtu(self.identity.host_mtu, self._tunnel_mtu(), self.snapshot.pools.values())

    def _tunnel_mtu(self) -> int:
        return ipip_mtu(self.identity.host_mtu, self.snapshot.felix_configurations, self.identity.node)

    async def _tend_the_tunnel(self) -> None:
        """Keep this node's end of the tunnel as the pools want it; what could not be done is tried again."""
        loop = asyncio.get_running_loop()
        while True:
            await self._tunnel_due.wait()
            self._tunnel_due.clear()
            if not self.snapshot.in_sync:
                continue
            wanted = any(map(wants_ipip, self.snapshot.pools.values()))
            if not await self.tunnel_end.settle(self._tunnel_mtu() if wanted else 0):
                loop.call_later(TUNNEL_AGAIN_SECONDS, self._tunnel_due.set)

    def _tunnel_addresses(self) -> list[Prefix]:
        """Return the addresses of this node's tunnels, as its Node has them."""
        own = self.snapshot.nodes.get(self.identity.node)
        noted = own.tunnel_address("ipip") if own else None
        return [Prefix.host(noted.packed)] if noted else []

    async def _configure(self) -> None:
        speaker, notices = speaker_of(
            self.identity.node,
            self.snapshot.nodes.values(),
            self.snapshot.bgp_configurations.get("default"),
            self.snapshot.peers.values(),
            own_blocks=self.snapshot.own_blocks(),
            pools=self.snapshot.pool_prefixes(),
            router_id=self.identity.router_id,
            node_configurations=self.snapshot.node_bgp_configurations(),
        )
        for notice in notices:
            if notice not in self.session_notices:
                log.warning("%s", notice)
        self.session_notices = notices
        if speaker != self.speaker:
            self.speaker = speaker
            await self._sidecar.configure(speaker)

    async def _announce(self) -> None:
        wanted = self.exportable()
        if wanted != self.announced or not self.announced:
            self.announced = wanted
            await self._sidecar.announce(wanted)

    def _pools(self) -> list[Pool]:
        return [
            Pool(Prefix.parse(pool.spec.cidr), not pool.spec.disable_bgp_export)
            for pool in self.snapshot.pools.values()
        ]

    def exportable(self) -> Mapping[Prefix, Attributes]:
        """Return what this node has to announce by now."""
        return rib_out(
            self.snapshot.own_blocks(),
            self.snapshot.endpoints.values(),
            self._pools(),
            self.identity.addresses,
            self._tunnel_addresses(),
        )

    def borrowed(self) -> list[Prefix]:
        """Return the addresses of our pods and tunnels that lie in others' blocks."""
        return borrowed(
            self.snapshot.own_blocks(), self.snapshot.endpoints.values(), self._pools(), self._tunnel_addresses()
        )

    async def _read_all_at_times(self) -> None:
        """The safety net under the events: a whole dump at a slow pace. Where nothing is repaired there is none."""
        while self.settings.resync_seconds and self.settings.repair:
            await asyncio.sleep(self.settings.resync_seconds)
            await self.writer.read_all()
            self._awake.set()

    # What the CNI server asks of us

    async def attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        """Route to a pod; return when its routes are in the kernel. Raises RouteRefused."""
        pod = Endpoint.of(endpoint)
        self._devices[pod.device] = device  # known here before its event arrives
        self.writer.names[device] = pod.device
        self.snapshot.attach(pod)
        self._announce_later(self._state_pods())
        await self.writer.write()
        refused = [self.writer.refused[address] for address in pod.addresses if address in self.writer.refused]
        if refused:
            raise RouteRefused(f"put the route {refused[0].prefix} dev {pod.device}: {refused[0].text}")
        for address in pod.addresses:
            if squatter := self.writer.fib.squatted.get(address):
                raise RouteRefused(
                    f"put the route {address} dev {pod.device}: a route of protocol {squatter.protocol} is there "
                    f"with our metric {squatter.metric} and was before ours; it is left alone; remove it"
                )

    async def detach(self, endpoint: WorkloadEndpoint) -> None:
        """Take a pod's routes out of the kernel; return when they are gone."""
        pod = Endpoint.of(endpoint)
        self.snapshot.detach(pod.key, pod.container_id)
        self._announce_later(self._state_pods())
        await self.writer.write()

    def _announce_later(self, wanted: bool) -> None:
        """A borrowed address came or went: the next round tells the peers; nobody who attaches a pod waits for that."""
        if wanted:
            self._due |= Topic.BLOCKS
            self._awake.set()

    def limitation(self) -> str | None:
        """Return why running pods may lose connectivity, if so: for CNI's STATUS. A sidecar that restarts is none."""
        since = self._sidecar_away_since
        if since is None or asyncio.get_running_loop().time() - since < SIDECAR_PATIENCE_SECONDS:
            return None
        return "the BGP sidecar is away: routes to other nodes are kept, but no longer follow what changes there"

    def pod_families(self) -> frozenset[int]:
        """Return the IP versions that pods get: those in which there is a pool, and this node has an address."""
        pooled = {pool.bits for pool in self.snapshot.pool_prefixes()}
        addresses = self.identity.addresses
        return frozenset(
            version
            for version, bits, own in ((4, 32, addresses.ipv4), (6, 128, addresses.ipv6))
            if own is not None and bits in pooled
        )

    def _covered(self, address: Prefix) -> bool:
        return any(block.contains(address) for block in self.snapshot.own_blocks())

    def unreachable_next_hops(self) -> list[str]:
        return sorted(unpack(address) for address in self.learned.unreachable())


class RouteRefused(Exception):
    """The kernel does not take a pod's route."""
