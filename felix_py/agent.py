"""The agent's loop: fold what happens, bring the world in line, in one order.

An edge: it owns the tasks that listen (datastore, kernel, sidecar). Each only folds what it receives and adds the
topics that changed; one task brings the outputs in line. Attaching a pod does its part at once, because a container
runtime is waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from bgp.client import Connected, Disconnected, SidecarEvent, VersionDiffers
from bgp.protocol import Converged, Learned, Problem, ReplayEnd, Withdrawn
from datastore.backoff import Backoff
from datastore.errors import Unavailable
from datastore.kinds.pods import WorkloadEndpoint
from datastore.notices import Notice
from datastore.store import WatchEvent as StoreEvent
from datastore.url import has_namespaces
from felix_py import outputs as on
from felix_py.cluster.datastore_watch import DatastoreWatch
from felix_py.cluster.losses import RecordKey
from felix_py.cluster.records import Records
from felix_py.configuration.felix_configuration import log_level_for
from felix_py.configuration.settings import Settings, passwords_file
from felix_py.edges import Edges, HostDevices
from felix_py.encap.encapsulation import pod_mtu
from felix_py.encap.ipip import IPIP
from felix_py.files import read_text, write_text
from felix_py.host.host import Host
from felix_py.identity import Identity
from felix_py.notices.current_notices import CurrentNotices
from felix_py.notices.node_configurations import of_no_node
from felix_py.notices.outside_pools import outside_notices
from felix_py.notices.pool_surroundings import host_addresses, pool_notices
from felix_py.outputs import Due, FailedOutput, Output, bring_in_line, rest_seconds
from felix_py.packet_filter.node_table import external_nodes, nat_options, node_addresses, wanted_table
from felix_py.packet_path.cut_off_pods import CutOffPods
from felix_py.peering.bgp_secrets import BgpSecrets
from felix_py.peering.peering import Peering
from felix_py.progress import Progress
from felix_py.routes.fib import Ownership
from felix_py.routes.routing import Routing
from felix_py.snapshot import Endpoint, EndpointKey, Snapshot
from felix_py.tasks import begun_again, reasons
from felix_py.topics import Topic
from kernel.events import AddressChanged, EventsLost, KernelEvent, LinkChanged, RouteChanged
from kernel.netlink import KernelError

log = logging.getLogger("felix.agent")

HOST_SECONDS = 0.02  # changes of the host's own routes and addresses come in bursts
FILTERED_SECONDS = 0.02  # a new block is announced first: to work all sessions out takes as long as that does
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 60.0
IN_BURSTS = Topic.NEXT_HOPS | Topic.HELD | Topic.ADDRESSES


class Agent:
    """Makes this node's kernel and this node's announcements match the cluster's records."""

    def __init__(self, settings: Settings, identity: Identity, edges: Edges) -> None:
        self.settings, self.identity, self.edges = settings, identity, edges
        self.progress = Progress()
        self.snapshot = Snapshot(identity.node, use_pod_cidrs=settings.use_pod_cidr)
        own = [address for address in identity.addresses if address]
        self.host = Host(own, settings.interface_prefix, (IPIP.device,))
        self._due = Due()
        on_kubernetes = has_namespaces(settings.datastore)
        self.notices = CurrentNotices(identity.node, has_namespaces=on_kubernetes)
        changed, note = partial(self._due.add, Topic.PASSWORDS), passwords_file(settings)
        secrets = BgpSecrets(edges.store, settings.namespace, changed, note) if on_kubernetes else None
        self.peering = Peering(edges.peers, identity, self.snapshot, secrets=secrets)
        ownership = Ownership(settings.protocol, settings.learned_protocol, settings.metric)
        wake = partial(self._due.add, Topic.ROUTES)
        self.routing = Routing(ownership, edges.kernel, self.snapshot, self.host, wake, settings.ipip_mtu)
        folds = (edges.observe, self._fold_blocks, self._fold_record)
        records = Records(settings, folds, self._due, self.progress, self.notices, self._runs)
        self.watch = DatastoreWatch(edges.store, self.snapshot, self.peering, records)
        self.outputs = self._outputs()

    def _outputs(self) -> tuple[Output, ...]:
        """Return what follows from a change. The order is the rule: see `outputs`."""
        routing, cut_off = self.routing, CutOffPods(self.routing.pods, self.host, self.progress)
        return (
            Output("interests", on.INTERESTS, self.watch.look, needed=False),
            Output("own addresses", Topic.OWN_NODE, self._follow_own_addresses),
            Output("log level", Topic.FELIX, self._set_log_level, needed=False),
            Output("forwarding", on.FORWARDING, self._forward, needed=False),
            Output("pools", on.SURROUNDINGS, self._look_at_pools, needed=False),
            Output("configurations of nodes", on.CONFIGURATIONS, self._look_at_configurations, needed=False),
            Output("NAT and the guard", on.NODE_TABLE, self._state_table, needed=False),
            Output("tunnel device", on.TUNNEL_DEVICE, self._apply_tunnel_device),
            Output("tunnel address", Topic.BLOCKS, self._look_at_tunnel_address),
            Output("tunnel settings", on.TUNNEL_SETTINGS, routing.update_tunnels),
            Output("held routes", Topic.HELD, routing.writer.read_all),
            Output("static routes", on.STATIC_ROUTES, routing.state_static),
            Output("next hops", Topic.NEXT_HOPS, routing.resolve_next_hops),
            Output("pods that were left", Topic.IN_SYNC, self._take_up_pods),
            Output("pods", Topic.PODS, routing.state_pods),
            Output("blackholes", Topic.BLOCKS, routing.state_blocks),
            Output("tunnel routes", on.TUNNEL_ROUTES, routing.state_tunnels),
            Output("stale routes", Topic.IN_SYNC, self._allow_local_removal),
            Output("tables that are coming", Topic.ROUTES, routing.hear_out),
            Output("routes", on.ROUTES, routing.write),
            Output("pods cut off", Topic.PODS, cut_off.look_soon, needed=False),
            Output("pod MTU", on.POD_MTU, self._write_pod_mtu, needed=False),
            Output("readiness", Topic.IN_SYNC, self.progress.wrote_first),
            Output("sessions", on.SESSIONS, self._configure_sessions, needed=False),
            Output("announcements", on.ANNOUNCEMENTS, self.peering.announce),
            Output("what lies in no pool", on.OUTSIDE_POOLS, self._look_outside_pools, needed=False),
        )

    async def run(self, found: HostDevices | None = None) -> None:
        """Run until cancelled. found: the devices, read since events are kept. Raises KernelError: not all is read."""
        await self._read_kernel(found or self.edges.kernel)
        async with asyncio.TaskGroup() as tasks:
            for task in self._tasks():
                tasks.create_task(task)

    def _tasks(self) -> list[Coroutine[Any, Any, None]]:
        return [
            begun_again("following the datastore", self.watch.run),
            begun_again("following the kernel", self._watch_kernel),
            begun_again("following the sidecar", self._follow_peers),
            self._reconcile_when_due(),
            begun_again("reading the routes periodically", self._read_routes_periodically),
            begun_again("keeping the tunnel's device", self.edges.tunnel.run),
            begun_again("keeping the node's table of nftables", self.edges.table.run),
            begun_again("following the Secrets of passwords", self.peering.follow_secrets),
        ]

    async def ready(self) -> None:
        """Return when the datastore is in sync and the kernel has what it asks for: pods may be attached."""
        await self.progress.wait()

    @property
    def changes(self) -> int:
        """How often something changed that concerns anything here; pods that come and go may not count."""
        return self._due.added + self.routing.writer.foreign_changes

    # Folds in

    def _fold_record(self, event: StoreEvent) -> Topic:
        topic = self.snapshot.fold(event) | self.watch.fold(event)
        self.progress.datastore_in_sync = self.snapshot.in_sync
        if topic & Topic.BLOCKS:
            self._due.add_later(Topic.FILTERED, FILTERED_SECONDS)
        return topic

    def _fold_blocks(self, event: StoreEvent) -> Topic:
        topic = self.routing.tunnels.fold(event)
        return topic | Topic.OWNERS if topic and self.peering.goes_by_owners else topic

    def _runs(self, key: RecordKey, device: str) -> bool:
        """Whether the pod of an endpoint still runs here: it has its device, and its end or successor is not ours."""
        return device in self.host.up and not self.snapshot.awaits(EndpointKey(key.namespace, key.name))

    async def _watch_kernel(self) -> None:
        """Follow the kernel's events. When this is begun again some may be missing, and all is read anew first."""
        if self.progress.fib_read:
            await self._read_kernel(self.edges.kernel)
        self.progress.fib_read = True
        async for batch in self.edges.kernel.events():
            for event in batch:
                await self._on_kernel_event(event)

    async def _on_kernel_event(self, event: KernelEvent) -> None:
        match event:
            case RouteChanged(own=True):
                self.routing.writer.own_change(event)
            case RouteChanged():
                concerns_ours = self.routing.writer.foreign_change(event, repair=self.settings.repair)
                if not concerns_ours and self.host.is_way(event):
                    self._changed_host(Topic.NEXT_HOPS)
            case LinkChanged(link=link):
                if self.host.takes_routes_along(event):
                    self.routing.lost_device(link)
                self._changed_host(self.host.fold(event))
            case AddressChanged():
                self._changed_host(self.host.fold(event))
            case EventsLost():
                log.warning("kernel events came faster than they were read; reading all devices and routes again")
                await self._read_kernel(self.edges.kernel)

    async def _read_kernel(self, devices: HostDevices) -> None:
        self._changed_host(self.host.load(devices.links().values(), devices.addresses()))
        await self.routing.writer.read_all()

    def _changed_host(self, topic: Topic) -> None:
        if topic:  # most of what the kernel says of a pod's device concerns nothing
            self.edges.host_changed(topic)
        self._due.add(topic & ~IN_BURSTS)
        if topic & IN_BURSTS:
            self._due.add_later(topic & IN_BURSTS, HOST_SECONDS)

    async def _follow_peers(self) -> None:
        """Follow the sidecar. When this is begun again it connects anew, and is sent all that peers announce."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.edges.peers.run())
            tasks.create_task(self._watch_peers())

    async def _watch_peers(self) -> None:
        async for event in self.edges.peers.events(lambda: self.routing.learned.routes):
            self._on_peers_event(event)
            await asyncio.sleep(0)  # of a full table many wait: pods have their turn

    def _on_peers_event(self, event: SidecarEvent) -> None:
        match event:
            case Connected():
                self.progress.sidecar_connected, self.progress.sidecar_differs = True, False
                self.peering.connected()
            case Learned(routes=routes):
                self.routing.learn(routes)
            case Withdrawn(prefixes=prefixes):
                self.routing.withdraw(prefixes)
            case ReplayEnd(converged=True) | Converged():
                self.progress.learned_settled = True
                self.routing.all_learned()
            case Problem(text=text):
                log.warning("the sidecar reports: %s", text)
            case VersionDiffers(text=text):
                log.error("connect to the sidecar: %s", text)
                self.progress.sidecar_differs = True
                self.peering.disconnected()
            case Disconnected():
                self.progress.sidecar_connected = False
                self.peering.disconnected()

    # Outputs

    async def _reconcile_when_due(self) -> None:
        """Bring in line what is due. What fails is tried again, later each time until it has worked."""
        backoff, failed = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS), Topic.NOTHING
        while True:
            await self._due.wait()
            due = self._due.take(Topic.EVERYTHING if self.snapshot.in_sync else Topic.BEFORE_SYNC)
            failures = await bring_in_line(self.outputs, due)
            if failures:
                failed |= due
                await self._try_again(failures, due, backoff.next())
            elif failed and not (failed := failed & ~due):
                backoff.reset()
            if due & on.OF_ALL_NODES:
                self._due.rest(on.OF_ALL_NODES, rest_seconds(len(self.snapshot.nodes)))

    async def _try_again(self, failures: Sequence[FailedOutput], due: Topic, pause: float) -> None:
        """Have all of it due again after a pause, which only what others need and the kernel did not take keeps up.

        What the kernel holds is read anew first, then.
        """
        for output, error in failures:
            for text, unforeseen in reasons(error):
                log.error("bring in line %s: %s; next try in %.1f s", output.name, text, pause, exc_info=unforeseen)
        if any(output.needed and isinstance(error, KernelError) for output, error in failures):
            await asyncio.sleep(pause)  # what it did not take is due at once
            self._due.add(due | Topic.HELD)
        else:
            asyncio.get_running_loop().call_later(pause, self._due.add, due)

    async def _read_routes_periodically(self) -> None:
        """The safety net under the events: a whole dump at a slow pace. Where nothing is repaired there is none."""
        while self.settings.resync_seconds and self.settings.repair:
            await asyncio.sleep(self.settings.resync_seconds)
            await self.routing.writer.read_all()

    async def _follow_own_addresses(self) -> None:
        self._changed_host(self.host.owns([address for address in self.peering.addresses() if address]))

    async def _allow_local_removal(self) -> None:
        if self.watch.has_all:
            await self.routing.allow_local_removal()

    async def _forward(self) -> None:
        self.edges.forward(self.pod_families())

    async def _set_log_level(self) -> None:
        self.edges.log_from(log_level_for(self.identity.node, self.snapshot.felix_configurations))

    async def _look_at_pools(self) -> None:
        """Say which pools overlap what they should not; keep pods off addresses of hosts."""
        self.edges.avoid(host_addresses(self.snapshot, self.host, self.routing.writer.fib))
        self.log_notices(self.notices.put("pools", pool_notices(self.snapshot, self.host)))

    async def _look_outside_pools(self) -> None:
        self.log_notices(self.notices.put("outside pools", tuple(outside_notices(self.snapshot))))

    async def _look_at_configurations(self) -> None:
        configurations = (*self.snapshot.bgp_configurations.values(), *self.snapshot.felix_configurations.values())
        self.log_notices(self.notices.put("configurations", of_no_node(self.snapshot.nodes, configurations)))

    async def _state_table(self) -> None:
        given = self.settings, self.identity.node, self.snapshot.felix_configurations
        nodes = node_addresses(self.snapshot.nodes.values(), external_nodes(*given))
        tunnels = [IPIP.device] if self.routing.tunnel_wanted() else []
        self.edges.table.apply(wanted_table(self.snapshot.pools.values(), nodes, nat_options(*given), tunnels))

    async def _apply_tunnel_device(self) -> None:
        self.edges.tunnel.apply(self.routing.tunnel_mtu() if self.routing.tunnel_wanted() else 0)

    async def _look_at_tunnel_address(self) -> None:
        """Have it assigned anew if it is not any more: a block that comes back from a backup may lack it."""
        if self.routing.tunnel_wanted():
            await self._apply_tunnel_device()

    async def _take_up_pods(self) -> None:
        """Attach the pods that the agent before had attached without writing on them."""
        for endpoint in await self.edges.take_up():
            self.snapshot.attach(Endpoint.of(endpoint))

    async def _write_pod_mtu(self) -> None:
        mtu, before = str(self.pod_mtu()), read_text(self.settings.mtu_file)
        if before not in ("", mtu):
            log.warning(
                "new pods get MTU %s instead of %s; those that run keep theirs until they are made anew", mtu, before
            )
        write_text(self.settings.mtu_file, mtu)

    async def _configure_sessions(self) -> None:
        await self.peering.configure(self.routing.tunnels.owners(), self.host.addresses)
        self.log_notices(self.notices.put("sessions", self.peering.notices))

    def pod_mtu(self) -> int:
        """Return the MTU that a pod gets at present: as set, else what the host and the tunnels leave."""
        tunnels = [self.routing.tunnel_mtu()] if self.routing.tunnel_wanted() else []
        return self.settings.mtu or pod_mtu(self.host.mtu, tunnels)

    def log_notices(self, new: tuple[Notice, ...]) -> None:
        for notice in new:
            log.warning("not obeyed: %s", notice)

    # What the CNI server asks for

    async def attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        """Route to a pod; return when its routes are in the kernel. Raises RouteRefused, Unavailable."""
        if self.progress.held_back:
            raise Unavailable(self.progress.held_back)
        pod = Endpoint.of(endpoint)
        self.host.attached(pod.device, device)
        await self._reconcile_pods(self.snapshot.attach(pod, self.edges.claimed))
        self.routing.require(pod)

    async def detach(self, endpoint: WorkloadEndpoint) -> None:
        """Take a pod's routes out of the kernel; return when they are gone."""
        pod = Endpoint.of(endpoint)
        await self._reconcile_pods(self.snapshot.detach(pod.key, pod.container_id))

    async def _reconcile_pods(self, topic: Topic) -> None:
        """Bring in line what pods wait for. The rest, announcements of borrowed addresses, is left to the loop."""
        self._due.add(topic & ~Topic.PODS)
        for _, error in await bring_in_line(self.outputs, Topic.PODS):
            raise error

    def pod_families(self) -> frozenset[int]:
        """Return the IP versions that pods get: those in which there is a pool, and this node has an address."""
        pools, addresses = self.snapshot.pool_prefixes(), self.peering.addresses()
        return frozenset(4 if pool.family == "ipv4" else 6 for pool in pools if addresses.of_family(pool))
