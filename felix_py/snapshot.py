"""What the cluster says, as far as it matters to this node: watch events folded into one picture.

Pure: no I/O, no clock, no logging. The picture also knows what the watch cannot know yet: the attachments this
agent has just made or ended itself. Until the datastore has told them back, an older event must not undo them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, NamedTuple

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool, IPReservation
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync
from felix_py.remote_blocks import RemoteBlocks
from net.prefix import Prefix

WATCHED: tuple[type[Resource], ...] = (
    Node,
    IPPool,
    BGPConfiguration,
    BGPPeer,
    FelixConfiguration,
    BlockAffinity,
    IPAMBlock,
    WorkloadEndpoint,
    IPAMConfig,  # these two for the allocator, which is told every event
    IPReservation,
)


class Topic(Flag):
    """What a change concerns, so that only what depends on it is worked out again."""

    NOTHING = 0
    PODS = auto()
    BLOCKS = auto()
    POOLS = auto()
    SESSIONS = auto()
    TUNNELS = auto()
    EVERYTHING = PODS | BLOCKS | POOLS | SESSIONS | TUNNELS


class EndpointKey(NamedTuple):
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One pod of this node: what its routes are made of."""

    key: EndpointKey
    container_id: str
    device: str
    addresses: tuple[Prefix, ...]  # each a /32 or /128

    @classmethod
    def of(cls, resource: WorkloadEndpoint) -> Endpoint:
        spec = resource.spec
        return cls(
            key=EndpointKey(resource.metadata.namespace or "", resource.metadata.name),
            container_id=spec.container_id or "",
            device=spec.interface_name or "",
            addresses=tuple(Prefix.parse(network) for network in spec.ip_networks or ()),
        )


class Snapshot:
    """Every resource that matters to the node called `node`. `touched` are the endpoints to look at again."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.in_sync = False
        self.nodes: dict[str, Node] = {}
        self.pools: dict[str, IPPool] = {}
        self.bgp_configurations: dict[str, BGPConfiguration] = {}
        self.peers: dict[str, BGPPeer] = {}
        self.affinities: dict[str, BlockAffinity] = {}
        self.endpoints: dict[EndpointKey, Endpoint] = {}
        self.felix_configurations: dict[str, FelixConfiguration] = {}
        self.whereabouts = RemoteBlocks(node)
        self.touched: set[EndpointKey] = set()
        self._tables: dict[type[Resource], tuple[MutableMapping[str, Any], Topic]] = {
            Node: (self.nodes, Topic.SESSIONS),
            IPPool: (self.pools, Topic.POOLS),
            BGPConfiguration: (self.bgp_configurations, Topic.SESSIONS),
            BGPPeer: (self.peers, Topic.SESSIONS),
            BlockAffinity: (self.affinities, Topic.BLOCKS),
            FelixConfiguration: (self.felix_configurations, Topic.TUNNELS),
        }
        self._attached: dict[EndpointKey, str] = {}  # container ids that the watch has yet to tell back
        self._detached: dict[EndpointKey, str] = {}

    def fold(self, event: Changed | Gone | InSync) -> Topic:
        """Take in one watch event; return what it concerns."""
        match event:
            case InSync():
                first, self.in_sync = not self.in_sync, True
                return Topic.EVERYTHING if first else Topic.NOTHING
            case Changed(resource=WorkloadEndpoint() as resource):
                return self._endpoint_said(resource)
            case Gone() if event.kind is WorkloadEndpoint:
                return self._endpoint_gone(EndpointKey(event.namespace or "", event.name), event.last)
            case Changed(resource=resource):
                return self._put(resource)
            case Gone():
                return self._remove(event.kind, event.name)
        raise AssertionError(f"not a watch event: {event!r}")

    def _put(self, resource: Resource) -> Topic:
        name = resource.metadata.name
        match resource:
            case Node():
                before, self.nodes[name] = self.nodes.get(name), resource
                if before is not None and _data(before) == _data(resource):
                    return Topic.NOTHING
                return Topic.SESSIONS | Topic.TUNNELS if name == self.node else Topic.SESSIONS
            case IPPool():
                self.pools[name] = resource
                return Topic.POOLS
            case BGPConfiguration():
                self.bgp_configurations[name] = resource
                return Topic.SESSIONS
            case BGPPeer():
                self.peers[name] = resource
                return Topic.SESSIONS
            case FelixConfiguration():
                self.felix_configurations[name] = resource
                return Topic.TUNNELS
            case IPAMBlock():
                self.whereabouts.block_said(resource)
            case BlockAffinity() if resource.spec.node == self.node and resource.spec.deleted != "true":
                self.whereabouts.affinity_said(resource)
                self.affinities[name] = resource
                return Topic.BLOCKS
            case BlockAffinity():
                topic = self._remove(BlockAffinity, name)
                self.whereabouts.affinity_said(resource)
                return topic
        return Topic.NOTHING

    def _remove(self, kind: type[Resource], name: str) -> Topic:
        if kind is BlockAffinity:
            self.whereabouts.affinity_gone(name)
        elif kind is IPAMBlock:
            self.whereabouts.block_gone(name)
        table, topic = self._tables.get(kind, (None, Topic.NOTHING))
        return topic if table is not None and table.pop(name, None) is not None else Topic.NOTHING

    def attach(self, endpoint: Endpoint) -> None:
        """Take in a pod that this agent is attaching, before the datastore has it."""
        self._attached[endpoint.key] = endpoint.container_id
        self._detached.pop(endpoint.key, None)
        self.endpoints[endpoint.key] = endpoint
        self.touched.add(endpoint.key)

    def detach(self, key: EndpointKey, container_id: str) -> None:
        """Take out a pod that this agent is detaching; a newer sandbox of the same name is left alone."""
        known = self.endpoints.get(key)
        if known is not None and known.container_id != container_id:
            return
        self._attached.pop(key, None)
        self._detached[key] = container_id
        self._forget(key)

    def _endpoint_said(self, resource: WorkloadEndpoint) -> Topic:
        if resource.spec.node != self.node:
            return Topic.NOTHING
        endpoint = Endpoint.of(resource)
        awaited = self._attached.get(endpoint.key)
        if awaited is not None and awaited != endpoint.container_id:
            return Topic.NOTHING  # of the sandbox before the one just attached
        if self._detached.get(endpoint.key) == endpoint.container_id:
            return Topic.NOTHING  # of the one just detached
        self._attached.pop(endpoint.key, None)
        self._detached.pop(endpoint.key, None)
        if self.endpoints.get(endpoint.key) == endpoint:
            return Topic.NOTHING
        self.endpoints[endpoint.key] = endpoint
        self.touched.add(endpoint.key)
        return Topic.PODS

    def _endpoint_gone(self, key: EndpointKey, last: Resource | None) -> Topic:
        if not isinstance(last, WorkloadEndpoint) or last.spec.container_id == self._detached.get(key):
            self._detached.pop(key, None)  # else it is the end of a sandbox before the one detached
        if key in self._attached or key not in self.endpoints:
            return Topic.NOTHING
        self._forget(key)
        return Topic.PODS

    def _forget(self, key: EndpointKey) -> None:
        if self.endpoints.pop(key, None) is not None:
            self.touched.add(key)

    def take_touched(self) -> set[EndpointKey]:
        taken, self.touched = self.touched, set()
        return taken

    def own_blocks(self) -> tuple[Prefix, ...]:
        """Return this node's confirmed blocks, in order. An affinity without a state is an old, confirmed one."""
        return tuple(
            sorted(
                Prefix.parse(affinity.spec.cidr)
                for affinity in self.affinities.values()
                if affinity.spec.state in ("confirmed", "", None)
            )
        )

    def node_bgp_configurations(self) -> dict[str, BGPConfiguration]:
        """Return the BGP configurations that are for one node, by the node's name."""
        prefix = "node."
        named = self.bgp_configurations.items()
        return {name.removeprefix(prefix): value for name, value in named if name.startswith(prefix)}

    def pool_prefixes(self) -> tuple[Prefix, ...]:
        """Return the CIDRs of all pools, disabled ones too: their addresses are still pods'."""
        return tuple(sorted(Prefix.parse(pool.spec.cidr) for pool in self.pools.values()))


def _data(node: Node) -> object:
    """Return what of a node matters to others: a heartbeat in its status must not re-render every session."""
    metadata = node.metadata
    calico = {k: v for k, v in (metadata.annotations or {}).items() if k.startswith("projectcalico.org/")}
    return calico, dict(metadata.labels or {})
