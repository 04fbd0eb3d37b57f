"""What is known of a cluster at one moment, as far as it takes to say why two addresses reach each other or do not.

Pure. Two kinds of facts: what the datastore says (`Records`), and what each node's agent read from its kernel and
knows of its routes (`View`, from the JSON of its page /trace). A node without a view is one that cannot be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from felix_py.status_model import DeviceFacts, NodeTrace, RouteStatus, SessionStatus
from ipam.block import allocations
from ipam.names import affine_host
from net.ip_route import IpRoute
from net.prefix import Prefix


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod's attachment, as the datastore has it."""

    namespace: str
    pod: str
    node: str
    device: str
    addresses: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.pod}"


@dataclass(frozen=True, slots=True)
class Given:
    """Who an address is assigned to, as its block says."""

    handle: str
    pod: str = ""  # namespace/name, "" if it is no pod's
    tunnel_of: str = ""  # a node, if it is a tunnel's


@dataclass(frozen=True, slots=True)
class Block:
    prefix: Prefix
    owner: str | None
    confirmed: bool
    given: Mapping[str, Given]


@dataclass(frozen=True, slots=True)
class Pool:
    name: str
    prefix: Prefix
    disabled: bool = False
    exported: bool = True


@dataclass(frozen=True, slots=True)
class Records:
    """What the datastore says."""

    endpoints: Sequence[Endpoint] = ()
    blocks: Sequence[Block] = ()
    pools: Sequence[Pool] = ()
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # their own addresses, by name
    mesh: bool = True

    def endpoint_of(self, address: str) -> Endpoint | None:
        return next((one for one in self.endpoints if address in one.addresses), None)

    def node_of(self, address: str) -> str | None:
        return next((name for name, addresses in self.nodes.items() if address in addresses), None)

    def block_of(self, address: str) -> Block | None:
        host = Prefix.host(address)
        return next((block for block in self.blocks if block.prefix.contains(host)), None)

    def pool_of(self, address: str) -> Pool | None:
        host = Prefix.host(address)
        return next((pool for pool in self.pools if pool.prefix.contains(host)), None)


def records_of(
    endpoints: Iterable[WorkloadEndpoint],
    blocks: Iterable[IPAMBlock],
    affinities: Iterable[BlockAffinity],
    pools: Iterable[IPPool],
    nodes: Iterable[Node],
    configurations: Iterable[BGPConfiguration],
) -> Records:
    """Return what these resources say of who is where."""
    confirmed = {(one.spec.cidr, one.spec.node) for one in affinities if one.confirmed and not one.deleted}
    meshes = [one.spec.node_to_node_mesh_enabled for one in configurations if one.name == "default"]
    return Records(
        tuple(map(_endpoint, endpoints)),
        tuple(_block(block, confirmed) for block in blocks if not block.deleted),
        tuple(
            Pool(pool.name, Prefix.parse(pool.spec.cidr), pool.spec.disabled, not pool.spec.disable_bgp_export)
            for pool in pools
        ),
        {node.name: tuple(str(each.ip) for each in (node.ipv4, node.ipv6) if each) for node in nodes},
        mesh=meshes != [False],
    )


def _endpoint(one: WorkloadEndpoint) -> Endpoint:
    spec = one.spec
    addresses = tuple(str(ip_interface(network).ip) for network in spec.ip_networks)
    return Endpoint(one.namespace or "", spec.pod or one.name, spec.node, spec.interface_name or "", addresses)


def _block(block: IPAMBlock, confirmed: set[tuple[str, str]]) -> Block:
    owner = affine_host(block.spec.affinity)
    given = {
        str(one.address): Given(
            one.handle or "",
            f"{one.attributes['namespace']}/{one.attributes['pod']}" if "pod" in one.attributes else "",
            one.attributes.get("node", "") if one.attributes.get("type", "").endswith("TunnelAddress") else "",
        )
        for one in allocations(block)
        if not one.released
    }
    return Block(Prefix.parse(block.spec.cidr), owner, (block.spec.cidr, owner) in confirmed, given)


@dataclass(frozen=True, slots=True)
class Device:
    """A network device. forwarding: whether it takes packets that are for others, by family (4, 6)."""

    name: str
    up: bool
    carrier: bool
    mtu: int
    kind: str = ""
    addresses: tuple[str, ...] = ()
    forwarding: Mapping[int, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """What a kernel does with packets for an address: the entry of its table that carries them."""

    kind: str
    prefix: str
    words: str
    protocol: int = 0
    device: str = ""
    gateway: str = ""
    mtu: int = 0

    @property
    def length(self) -> int:
        return Prefix.parse(self.prefix).length

    @property
    def leads_on(self) -> bool:
        return self.kind in ("unicast", "local")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A route that a source of an agent wants, and what became of it."""

    prefix: str
    source: str
    words: str
    best: bool
    in_fib: bool
    note: str = ""

    @property
    def length(self) -> int:
        return Prefix.parse(self.prefix).length


@dataclass(frozen=True, slots=True)
class Session:
    """A BGP session of a node. since: seconds of the epoch. as_number: that of the peer, as configured; 0 = unknown."""

    address: str
    state: str
    info: str = ""
    since: float | None = None
    stale: int = 0
    refused: int = 0
    as_number: int = 0

    @property
    def is_up(self) -> bool:
        return self.state == "up"


@dataclass(frozen=True, slots=True)
class Inside:
    """What was seen in a pod's own namespace: its device, and its way to the other end."""

    device: Device
    way: Way | None


@dataclass(frozen=True, slots=True)
class View:
    """One node, as its agent sees it. Ways and wanted routes are by address; pods by theirs."""

    node: str
    repair: bool = True
    devices: Mapping[str, Device] = field(default_factory=dict)
    ways: Mapping[str, Way | None] = field(default_factory=dict)
    wanted: Mapping[str, Sequence[Wanted]] = field(default_factory=dict)
    pods: Mapping[str, Inside] = field(default_factory=dict)
    sessions: Sequence[Session] = ()
    sidecar_problem: str = ""
    announced: Sequence[str] = ()
    as_number: int = 0

    def device_with(self, address: str) -> Device | None:
        return next((device for device in self.devices.values() if address in device.addresses), None)


def view_of(trace: NodeTrace) -> View:
    """Return what an agent says on its page /trace."""
    kernel, sidecar = trace.kernel, trace.sidecar
    return View(
        node=trace.node,
        repair=trace.repair,
        devices={one.name: _device(one) for one in kernel.devices},
        ways={address: _way(route) if route else None for address, route in kernel.routes.items()},
        wanted={address: tuple(map(_wanted, rows)) for address, rows in trace.wanted.items()},
        pods={
            address: Inside(_device(seen.device), _way(seen.route) if seen.route else None)
            for address, seen in kernel.pods.items()
        },
        sessions=tuple(map(_session, trace.peers)),
        sidecar_problem="" if sidecar.connected else sidecar.problem or "it does not answer",
        announced=tuple(map(str, trace.announced)),
        as_number=trace.as_number or 0,
    )


def _way(route: IpRoute) -> Way:
    return Way(route.kind, str(route.prefix), str(route), route.protocol, route.device, route.gateway, route.mtu)


def _wanted(row: RouteStatus) -> Wanted:
    note = str(row.note) if row.note else ""
    return Wanted(str(row.prefix), row.source, str(row.route), row.best, row.in_fib, note)


def _device(one: DeviceFacts) -> Device:
    forwarding = {int(version): on for version, on in one.forwarding.items()}
    return Device(one.name, one.up, one.carrier, one.mtu, one.kind, one.addresses, forwarding)


def _session(one: SessionStatus) -> Session:
    info = one.last_error or one.info
    return Session(one.address, one.state, info, one.since, one.stale, sum(one.refused.values()), one.as_number)


@dataclass(frozen=True, slots=True)
class Picture:
    """The records, and the nodes that could be seen; why not, for those that could not."""

    records: Records
    views: Mapping[str, View] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
