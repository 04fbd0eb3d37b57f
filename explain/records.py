"""What the datastore says of who has which address.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_interface

from msgspec import Struct, field

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.names import IPAM
from ipam.block import allocations
from ipam.names import affine_host
from net.prefix import Prefix


class PodRecord(Struct, frozen=True, eq=False):
    """A pod's workload endpoint; node: "" for one that is on none. annotations: the pod's, no part of what it is."""

    namespace: str
    pod: str
    node: str
    device: str
    addresses: tuple[str, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PodRecord) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.namespace, self.pod, self.node, self.device, self.addresses

    @property
    def given_by(self) -> str:
        """The plugin that gave its addresses, where they are in no block."""
        return self.annotations.get(IPAM, "")

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.pod}"


class Assigned(Struct, frozen=True):
    """Who an address is assigned to, as its block says."""

    handle: str
    pod: str = ""  # namespace/name, "" if it is no pod's
    tunnel_of: str = ""  # a node, if it is a tunnel's


class BlockRecord(Struct, frozen=True):
    """owner: the node it is affine to. confirmed: that node's affinity is confirmed. assigned: by address."""

    prefix: Prefix
    owner: str | None
    confirmed: bool
    assigned: Mapping[str, Assigned]


class PoolRecord(Struct, frozen=True):
    """exported: what lies in it is announced over BGP. tunnelled: packets to it take a tunnel, whatever the subnet."""

    name: str
    prefix: Prefix
    disabled: bool = False
    exported: bool = True
    tunnelled: bool = False


class ClusterRecords(Struct, frozen=True):
    """nodes: their own addresses, by name. mesh: every node peers with every other."""

    pods: Sequence[PodRecord] = ()
    blocks: Sequence[BlockRecord] = ()
    pools: Sequence[PoolRecord] = ()
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mesh: bool = True

    def pod_of(self, address: str) -> PodRecord | None:
        return next((pod for pod in self.pods if address in pod.addresses), None)

    def node_of(self, address: str) -> str | None:
        return next((name for name, addresses in self.nodes.items() if address in addresses), None)

    def block_of(self, address: str) -> BlockRecord | None:
        host = Prefix.host(address)
        return next((block for block in self.blocks if block.prefix.contains(host)), None)

    def pool_of(self, address: str) -> PoolRecord | None:
        host = Prefix.host(address)
        return next((pool for pool in self.pools if pool.prefix.contains(host)), None)


def cluster_records(
    endpoints: Iterable[WorkloadEndpoint],
    blocks: Iterable[IPAMBlock],
    affinities: Iterable[BlockAffinity],
    pools: Iterable[IPPool],
    nodes: Iterable[Node],
    configurations: Iterable[BGPConfiguration],
) -> ClusterRecords:
    confirmed = {(one.spec.cidr, one.spec.node) for one in affinities if one.confirmed and not one.deleted}
    meshes = [one.spec.node_to_node_mesh_enabled for one in configurations if one.name == "default"]
    return ClusterRecords(
        tuple(map(_pod, endpoints)),
        tuple(_block(block, confirmed) for block in blocks if not block.deleted),
        tuple(map(_pool, pools)),
        {node.name: tuple(str(each.ip) for each in (node.ipv4, node.ipv6) if each) for node in nodes},
        mesh=meshes != [False],
    )


def _pool(pool: IPPool) -> PoolRecord:
    spec = pool.spec
    tunnelled = spec.ipip_mode == "Always"
    return PoolRecord(pool.name, Prefix.parse(spec.cidr), spec.disabled, not spec.disable_bgp_export, tunnelled)


def _pod(endpoint: WorkloadEndpoint) -> PodRecord:
    spec = endpoint.spec
    addresses = tuple(str(ip_interface(network).ip) for network in spec.ip_networks)
    return PodRecord(
        endpoint.namespace or "",
        spec.pod or endpoint.name,
        spec.node,
        spec.interface_name or "",
        addresses,
        endpoint.annotations,
    )


def _block(block: IPAMBlock, confirmed: set[tuple[str, str]]) -> BlockRecord:
    owner = affine_host(block.spec.affinity)
    assigned = {
        str(one.address): Assigned(
            one.handle or "",
            f"{one.attributes['namespace']}/{one.attributes['pod']}" if "pod" in one.attributes else "",
            one.attributes.get("node", "") if one.attributes.get("type", "").endswith("TunnelAddress") else "",
        )
        for one in allocations(block)
        if not one.released
    }
    return BlockRecord(Prefix.parse(block.spec.cidr), owner, (block.spec.cidr, owner) in confirmed, assigned)
