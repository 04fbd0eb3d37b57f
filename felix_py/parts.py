"""The agent's parts, put together: which of them there are with these settings, and what each is given of the others.

An edge that waits for nothing: everything here is made, and nothing begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from msgspec import Struct

from bgp.client import SidecarClient
from cni.journal import Journal
from cni.journaled_releases import HandleNames
from cni.known import Known
from cni.namespaces import Namespaces
from cni.server import CniServer
from cni.settings import CniSettings
from cni.verbs import Verbs
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store, WatchEvent
from datastore.url import has_namespaces
from felix_py import logs
from felix_py.agent import Agent
from felix_py.checks import Checks
from felix_py.configuration.settings import Settings
from felix_py.edges import Edges
from felix_py.encap.tunnel_device import KernelTunnelDevice
from felix_py.identity import Identity
from felix_py.node.network_condition import NetworkCondition
from felix_py.node.own_node_changes import OwnNodeChanges
from felix_py.notices.request_notices import RequestNotices
from felix_py.pace import give_way
from felix_py.packet_filter import node_table
from felix_py.packet_filter.kept_rules import KeptRules
from felix_py.packet_path.forwarding import forward
from felix_py.status.agent_status import AgentReporter
from ipam.allocator import Allocator
from ipam.tunnels import TunnelAddresses
from kernel.links import Devices
from kernel.nftables_writer import NftablesWriter
from kernel.path_watch import PathWatch
from kernel.rtnetlink import Rtnetlink
from net.prefix import Prefix

PATIENCE_SECONDS = 0.005
"""For which an event of the kernel or the datastore waits while pods are attached: each is to be acted on soon."""


class Ground(Struct, frozen=True):
    """What everything else stands on: the datastore, IPAM, and the kernel's sockets."""

    store: Store
    allocator: Allocator
    kernel: Rtnetlink
    devices: Devices


class Parts(Struct, frozen=True):
    """The agent and what works with it. namespaces, condition: None where the datastore is not Kubernetes."""

    ground: Ground
    watch: PathWatch
    agent: Agent
    own_node_changes: OwnNodeChanges
    namespaces: Namespaces | None
    verbs: Verbs
    server: CniServer
    checks: Checks
    reporter: AgentReporter
    condition: NetworkCondition | None


@contextmanager
def ground_on(store: Store) -> Iterator[Ground]:
    """Open what is needed beside a datastore. Raises KernelError."""
    with closing(Rtnetlink()) as kernel, closing(Devices()) as devices:
        yield Ground(store, Allocator(store), kernel, devices)


def put_together(settings: Settings, ground: Ground, identity: Identity, watch: PathWatch) -> Parts:
    """Make the parts of the agent of this node."""
    known, changes = Known(identity.node), OwnNodeChanges(identity.node)
    sidecar = SidecarClient(settings.run_dir / "bgp" / "bgp.sock", watch)
    edges = _edges(settings, ground, identity.node, sidecar, known, changes, lambda: verbs.unwritten.take_up())
    agent = Agent(settings, identity, edges)
    on_kubernetes = has_namespaces(settings.datastore)
    asked = RequestNotices(agent.notices, agent.log_notices)
    namespaces = Namespaces(ground.store, asked.fold) if on_kubernetes else None
    verbs = _verbs(ground, agent, namespaces, known, asked)
    checks = Checks(agent, verbs.pending_handles, verbs.outliving_handles)
    reporter = AgentReporter(agent, sidecar.status, checks)
    server = CniServer(settings.run_dir / "cni.sock", verbs, ground.allocator.arrivals)
    _give_way_to(server, ground, on_kubernetes=on_kubernetes)
    return Parts(
        ground,
        watch,
        agent,
        changes,
        namespaces,
        verbs,
        server,
        checks,
        reporter,
        NetworkCondition(agent, changes, lambda: reporter.progress().ready) if on_kubernetes else None,
    )


def _edges(
    settings: Settings,
    ground: Ground,
    node: str,
    sidecar: SidecarClient,
    known: Known,
    changes: OwnNodeChanges,
    take_up: Callable[[], Awaitable[Sequence[WorkloadEndpoint]]],
) -> Edges:
    addresses = TunnelAddresses(ground.store, ground.allocator, node, of_pod_cidrs=settings.use_pod_cidr)
    return Edges(
        ground.store,
        ground.kernel,
        sidecar,
        KernelTunnelDevice(addresses, ground.devices),
        KeptRules(
            node_table.TITLE, node_table.WITHOUT, partial(NftablesWriter, node_table.TABLE), repair=settings.repair
        ),
        observe=partial(_observe, ground.allocator, known, changes),
        host_changed=changes.host_changed,
        avoid=ground.allocator.avoid,
        log_from=_keep_log_level if "log_level" in settings.model_fields_set else logs.set_level,
        forward=partial(forward, pod_prefix=settings.interface_prefix, root=settings.proc_sys),
        claimed=partial(_claimed, ground.allocator, node),
        take_up=take_up,
    )


def _verbs(ground: Ground, agent: Agent, namespaces: Namespaces | None, known: Known, asked: RequestNotices) -> Verbs:
    settings = agent.settings
    return Verbs(
        CniSettings(agent.identity.node, settings.interface_prefix, settings.proc_sys),
        ground.store,
        ground.allocator,
        agent,
        Journal(settings.state_dir / "released.journal"),
        pod_mtu=agent.pod_mtu,
        inability=lambda: agent.progress.attach_refused,
        limitation=agent.peering.limitation,
        observe=asked.observe,
        namespaces=namespaces,
        known=known,
        held_back=lambda: agent.progress.held_back,
        plugins=settings.cni_bin_dir,
        repeated=None if ground.store.atomic else Journal(settings.state_dir / "repeated.journal"),
        handle_names=_handle_names(ground.store),
    )


def _handle_names(store: Store) -> HandleNames | None:
    """Return what lists the names of all handles, where to read one is a request of its own."""
    if store.atomic:
        return None
    from datastore.kube.handle_names import handle_names
    from datastore.kube.store import KubeStore

    return partial(handle_names, store) if isinstance(store, KubeStore) else None


def _give_way_to(server: CniServer, ground: Ground, *, on_kubernetes: bool) -> None:
    """Have what changed looked at when pods' requests are answered, not in the middle of them."""
    waiting = partial(give_way, server, PATIENCE_SECONDS)
    ground.kernel.give_way_to(waiting)
    if not on_kubernetes:  # an API server's watch is told, and reads nothing
        from datastore.sqlite import SqliteStore

        assert isinstance(ground.store, SqliteStore), "as its URL says"
        ground.store.give_way_to(waiting)


def _observe(allocator: Allocator, known: Known, changes: OwnNodeChanges, event: WatchEvent) -> None:
    """Have what pods wait for answered from the agent's watch, and the own Node looked at when it changes."""
    allocator.on_event(event)
    known.observe(event)
    changes.fold(event)


def _claimed(allocator: Allocator, node: str) -> tuple[Prefix, ...]:
    """Return the blocks that a node's agent has claimed; others may have released some since."""
    return tuple(Prefix(one.network_address.packed, one.prefixlen) for one in allocator.claimed(node))


def _keep_log_level(level: str) -> None:
    """Leave the level as this node's settings have it, whatever the cluster's say, as Felix does."""
