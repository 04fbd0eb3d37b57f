"""The cluster's records, as far as they matter to this node: watch events folded into one state.

Pure: no I/O, no clock, no logging. It also holds what the watch cannot report yet: the attachments this agent has just
made or ended itself. Until the datastore has reported them back, an older event must not undo them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from msgspec import Struct

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.names import IPAM
from datastore.node_fields import V3_FIELDS
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent
from felix_py.cluster.subnets import Subnets
from felix_py.topics import Topic
from net.prefix import Prefix

_V3_PARTS = frozenset(path[1] for path in V3_FIELDS.values() if path[0] == "spec")
"""Of the spec of a Node in its v3 form: what the core form has in annotations."""


class EndpointKey(NamedTuple):
    namespace: str
    name: str


class Endpoint(Struct, frozen=True):
    """One pod of this node: what its routes are made of."""

    key: EndpointKey
    container_id: str
    device: str
    addresses: tuple[Prefix, ...]  # each a /32 or /128
    pod: str = ""
    given_by: str = ""
    """The plugin that gave its addresses, where they are in no IPAM block."""

    @classmethod
    def of(cls, resource: WorkloadEndpoint) -> Endpoint:
        spec = resource.spec
        return cls(
            key=EndpointKey(resource.metadata.namespace or "", resource.metadata.name),
            container_id=spec.container_id or "",
            device=spec.interface_name or "",
            addresses=tuple(Prefix.parse(network) for network in spec.ip_networks or ()),
            pod=spec.pod or "",
            given_by=resource.annotations.get(IPAM, ""),
        )


class Pool(Struct, frozen=True):
    """A pool with its network parsed."""

    prefix: Prefix
    resource: IPPool

    @property
    def exported(self) -> bool:
        return not self.resource.spec.disable_bgp_export

    @property
    def has_pods(self) -> bool:
        """Whether its addresses may be pods', not services'."""
        return "LoadBalancer" not in self.resource.spec.allowed_uses


_DEFAULT = "default"


class Snapshot:
    """Every resource that matters to the node called `node`, and which of its endpoints changed."""

    def __init__(self, node: str, *, use_pod_cidrs: bool = False) -> None:
        """use_pod_cidrs: a Node's podCIDRs are blocks of that node, beside those that it claimed."""
        self.node, self.use_pod_cidrs = node, use_pod_cidrs
        self.in_sync = False
        self.locked = False
        """Whether an administrator forbids that addresses are given."""
        self.nodes: dict[str, Node] = {}
        self.subnets = Subnets()
        self.pools: dict[str, Pool] = {}
        self.bgp_configurations: dict[str, BGPConfiguration] = {}
        self.bgp_is_unknown = False
        """Whether there is a BGPConfiguration of the cluster that nothing is known of: its sessions may be any."""
        self.peers: dict[str, BGPPeer] = {}
        self.felix_configurations: dict[str, FelixConfiguration] = {}
        self.affinities: dict[str, BlockAffinity] = {}  # this node's
        self.endpoints: dict[EndpointKey, Endpoint] = {}
        self._by_device: dict[str, set[EndpointKey]] = {}
        self.unreadable: set[EndpointKey] = set()  # whose record says nothing: their pods may be any
        self._own_blocks: tuple[Prefix, ...] = ()
        self._outside_own_blocks: dict[EndpointKey, tuple[Prefix, ...]] = {}
        self._changed: set[EndpointKey] = set()
        self._attached: dict[EndpointKey, str] = {}  # container ids that the watch has yet to report back
        self._detached: dict[EndpointKey, str] = {}
        self._claimed: Collection[Prefix] = ()  # by this agent, as long as an endpoint is awaited that may be in one
        self._before: dict[EndpointKey, frozenset[Prefix]] = {}  # meanwhile: the addresses of the sandboxes before

    def fold(self, event: WatchEvent) -> Topic:
        """Take in one watch event; return what it concerns."""
        known = self._fold_unreadable(event)
        match event:
            case InSync():
                first, self.in_sync = not self.in_sync, True
                return Topic.EVERYTHING & ~Topic.HELD if first else Topic.NOTHING
            case Unreadable():
                if event.kind is BGPConfiguration and event.name == _DEFAULT:
                    self.bgp_is_unknown = _DEFAULT not in self.bgp_configurations
                return Topic.NOTHING
            case Changed(resource=WorkloadEndpoint() as resource):
                return known | self._put_endpoint(resource)
            case Gone() if event.kind is WorkloadEndpoint:
                return known | self._endpoint_gone(EndpointKey(event.namespace or "", event.name), event.last)
            case Changed(resource=resource):
                return self._put(resource)
            case Gone():
                return self._remove(event.kind, event.name)

    def _fold_unreadable(self, event: WatchEvent) -> Topic:
        """Keep which endpoints cannot be read; return IN_SYNC when the last of them is known again."""
        match event:
            case Unreadable() if event.kind is WorkloadEndpoint:
                self.unreadable.add(EndpointKey(event.namespace or "", event.name))
                return Topic.NOTHING
            case Changed(resource=WorkloadEndpoint() as resource):
                key = EndpointKey(resource.metadata.namespace or "", resource.metadata.name)
            case Gone() if event.kind is WorkloadEndpoint:
                key = EndpointKey(event.namespace or "", event.name)
            case _:
                return Topic.NOTHING
        if key not in self.unreadable:
            return Topic.NOTHING
        self.unreadable.discard(key)
        return Topic.NOTHING if self.unreadable or not self.in_sync else Topic.IN_SYNC

    def _put(self, resource: Resource) -> Topic:
        name = resource.metadata.name
        match resource:
            case Node():
                before, self.nodes[name] = self.nodes.get(name), resource
                if before is not None and _data(before) == _data(resource):
                    return Topic.NOTHING
                self.subnets.put(name, (resource.ipv4, resource.ipv6))
                blocks = self._update_own_blocks() if name == self.node else Topic.NOTHING
                return self._node_topic(name) | blocks
            case IPPool():
                self.pools[name] = Pool(Prefix.parse(resource.spec.cidr), resource)
                return Topic.POOLS
            case BGPConfiguration():
                self.bgp_configurations[name] = resource
                self.bgp_is_unknown &= name != _DEFAULT
                return Topic.BGP
            case BGPPeer():
                self.peers[name] = resource
                return Topic.BGP
            case FelixConfiguration():
                self.felix_configurations[name] = resource
                return Topic.FELIX
            case BlockAffinity() if resource.spec.node == self.node and not resource.deleted:
                Prefix.parse(resource.spec.cidr)  # raises before anything is kept
                self.affinities[name] = resource
                return self._update_own_blocks()
            case BlockAffinity():
                return self._remove(BlockAffinity, name)
            case ClusterInformation() if name == _DEFAULT:
                self.locked = not resource.spec.datastore_ready
        return Topic.NOTHING

    def _remove(self, kind: type[Resource], name: str) -> Topic:
        if kind is BlockAffinity:
            self.affinities.pop(name, None)
            return self._update_own_blocks()
        if kind is ClusterInformation and name == _DEFAULT:
            self.locked = False
        if kind is Node:
            self.subnets.put(name)
        if kind is BGPConfiguration and name == _DEFAULT and self.bgp_is_unknown:
            self.bgp_is_unknown = False
            return Topic.BGP
        tables: dict[type[Resource], tuple[dict[str, Any], Topic]] = {
            Node: (self.nodes, self._node_topic(name)),
            IPPool: (self.pools, Topic.POOLS),
            BGPConfiguration: (self.bgp_configurations, Topic.BGP),
            BGPPeer: (self.peers, Topic.BGP),
            FelixConfiguration: (self.felix_configurations, Topic.FELIX),
        }
        table, topic = tables.get(kind, ({}, Topic.NOTHING))
        return Topic.NOTHING if table.pop(name, None) is None else topic

    def _node_topic(self, name: str) -> Topic:
        return Topic.NODES | Topic.OWN_NODE if name == self.node else Topic.NODES

    def _update_own_blocks(self) -> Topic:
        confirmed = (Prefix.parse(one.spec.cidr) for one in self.affinities.values() if one.confirmed)
        before, self._own_blocks = self._own_blocks, tuple(sorted({*confirmed, *self.own_pod_cidrs()}))
        if before == self._own_blocks:
            return Topic.NOTHING
        for key in tuple(self._outside_own_blocks if set(before) <= set(self._own_blocks) else self.endpoints):
            self._note_outside(key)
        return Topic.BLOCKS

    def attach(self, endpoint: Endpoint, claimed: Callable[[], Collection[Prefix]] = tuple) -> Topic:
        """Take in a pod that this agent is attaching, whether or not the watch has reported it.

        claimed: returns the blocks that this agent has claimed. The watch reports a claim before the endpoint for which
        it was made: until then no address in these is borrowed.
        """
        known = self.endpoints.get(endpoint.key)
        if known != endpoint or endpoint.key in self._attached:  # else it has been reported already
            self._note_before(endpoint.key, known)
            self._attached[endpoint.key] = endpoint.container_id
            if not all(map(self.in_own_block, endpoint.addresses)):
                self._claimed = claimed()
        self._detached.pop(endpoint.key, None)
        self._changed.add(endpoint.key)  # even if it is the same: its device may be another
        return self._set_endpoint(endpoint.key, endpoint)

    def detach(self, key: EndpointKey, container_id: str) -> Topic:
        """Take out a pod that this agent is detaching; a newer sandbox of the same name is left alone."""
        known = self.endpoints.get(key)
        if known is not None and known.container_id != container_id:
            return Topic.NOTHING
        self._note_before(key, known)
        self._attached.pop(key, None)
        self._detached[key] = container_id
        return self._set_endpoint(key, None)

    def awaits(self, key: EndpointKey) -> bool:
        """Whether an attachment or detachment of ours has yet to be reported back."""
        return key in self._attached or key in self._detached

    def _put_endpoint(self, resource: WorkloadEndpoint) -> Topic:
        if resource.spec.node != self.node:
            return Topic.NOTHING
        endpoint = Endpoint.of(resource)
        key, container_id = endpoint.key, endpoint.container_id
        if self._attached.get(key, container_id) != container_id:
            self._note_before(key, endpoint)
            return Topic.NOTHING  # of a sandbox before the one just attached
        if key in self._attached and self._has_addresses_of_before(endpoint):
            return Topic.NOTHING
        if self._detached.get(key) == container_id:
            return Topic.NOTHING  # of the one just detached
        self._await_no_more(key)
        topic = self._set_endpoint(key, endpoint)
        return topic | self._claim_is_over(key) if self._claimed else topic

    def _claim_is_over(self, key: EndpointKey) -> Topic:
        """Take an endpoint that was reported for a borrower unless the watch has reported its block."""
        before = self._outside_own_blocks.get(key)
        self._note_outside(key)
        if not self._attached:
            self._claimed = ()
        return Topic.NOTHING if self._outside_own_blocks.get(key) == before else Topic.BORROWED

    def _note_before(self, key: EndpointKey, endpoint: Endpoint | None) -> None:
        addresses = () if endpoint is None else endpoint.addresses
        self._before[key] = self._before.get(key, frozenset()).union(addresses)

    def _has_addresses_of_before(self, endpoint: Endpoint) -> bool:
        """Whether a report names the awaited container, and yet has only addresses of the sandboxes before it.

        A pod's status has them until its kubelet has written the new ones. Any other address is the datastore's word.
        """
        reported, attached = {*endpoint.addresses}, {*self.endpoints[endpoint.key].addresses}
        return bool(reported) and reported != attached and reported <= self._before[endpoint.key]

    def _await_no_more(self, key: EndpointKey) -> None:
        self._attached.pop(key, None)
        self._detached.pop(key, None)
        self._before.pop(key, None)

    def _endpoint_gone(self, key: EndpointKey, last: Resource | None) -> Topic:
        """Take in the end of an endpoint; of one just attached only if it is its own, not that of a sandbox before."""
        awaited = self._attached.get(key, self._detached.get(key))
        is_awaited = isinstance(last, WorkloadEndpoint) and last.spec.container_id == awaited
        if key in self._attached and not is_awaited:
            return Topic.NOTHING
        if is_awaited or not isinstance(last, WorkloadEndpoint):
            self._await_no_more(key)
        return self._set_endpoint(key, None)

    def _set_endpoint(self, key: EndpointKey, endpoint: Endpoint | None) -> Topic:
        before, was_outside = self.endpoints.pop(key, None), key in self._outside_own_blocks
        if before is not None:
            self._by_device[before.device].discard(key)
            if not self._by_device[before.device]:
                del self._by_device[before.device]
        if endpoint is not None:
            self.endpoints[key] = endpoint
            self._by_device.setdefault(endpoint.device, set()).add(key)
        if before == endpoint:
            return Topic.NOTHING
        self._changed.add(key)
        self._note_outside(key)
        return Topic.PODS | Topic.BORROWED if was_outside or key in self._outside_own_blocks else Topic.PODS

    def _note_outside(self, key: EndpointKey) -> None:
        endpoint = self.endpoints.get(key)
        addresses = () if endpoint is None else endpoint.addresses
        claimed = self._claimed if key in self._attached else ()
        outside = tuple(a for a in addresses if not self.in_own_block(a) and not _lies_in(a, claimed))
        if outside:
            self._outside_own_blocks[key] = outside
        else:
            self._outside_own_blocks.pop(key, None)

    def on_devices(self, names: Iterable[str]) -> set[EndpointKey]:
        """Return the endpoints whose device has one of these names."""
        return {key for name in names for key in self._by_device.get(name, ())}

    def take_changed(self) -> set[EndpointKey]:
        """Return the endpoints that came, changed or went since this was last asked."""
        taken, self._changed = self._changed, set()
        return taken

    def own_pod_cidrs(self) -> tuple[Prefix, ...]:
        """Return the blocks that Kubernetes gave this node, where they are used."""
        node = self.nodes.get(self.node) if self.use_pod_cidrs else None
        return () if node is None else tuple(Prefix.parse(str(network)) for network in node.pod_cidrs)

    def own_blocks(self) -> tuple[Prefix, ...]:
        """Return this node's confirmed blocks, in order."""
        return self._own_blocks

    def addresses_outside_own_blocks(self) -> tuple[Prefix, ...]:
        """Return the addresses of this node's pods that lie in none of its blocks."""
        return tuple(address for found in self._outside_own_blocks.values() for address in found)

    def outside_own_blocks(self) -> dict[EndpointKey, tuple[Prefix, ...]]:
        """Return the same by endpoint."""
        return self._outside_own_blocks

    def in_own_block(self, address: Prefix) -> bool:
        return _lies_in(address, self._own_blocks)

    def node_bgp_configurations(self) -> dict[str, BGPConfiguration]:
        """Return the BGP configurations that are for one node, by the node's name."""
        prefix = "node."
        named = self.bgp_configurations.items()
        return {name.removeprefix(prefix): value for name, value in named if name.startswith(prefix)}

    def pool_prefixes(self) -> tuple[Prefix, ...]:
        """Return the networks of all pools, disabled ones too: their addresses are still pods'."""
        return tuple(sorted(pool.prefix for pool in self.pools.values()))


def _lies_in(address: Prefix, blocks: Iterable[Prefix]) -> bool:
    return any(block.contains(address) for block in blocks)


def _data(node: Node) -> object:
    """Return what of a node matters here: a heartbeat in its status must not re-render every session."""
    metadata = node.metadata
    calico = {k: v for k, v in (metadata.annotations or {}).items() if k.startswith("projectcalico.org/")}
    in_v3_form = {key: value for key, value in (node.spec.model_extra or {}).items() if key in _V3_PARTS}
    return calico, in_v3_form, dict(metadata.labels or {}), node.spec.pod_cidr, node.spec.pod_cidrs
