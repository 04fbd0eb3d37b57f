"""What goes to other nodes inside a tunnel: the routes, the device they need, and the room that is left for a packet.

Pure: no I/O, no clock, no logging. IPIP is the one kind so far. VXLAN docks here: another device and overhead in
`Ground`, a far end that also says its tunnel's address and MAC (the gateway of its routes), and an edge beside
`felix_py/tunnel_device.py` that keeps its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from felix_py.fib import Ownership
from felix_py.remote_blocks import RemoteBlocks
from felix_py.rib import Rib, Source
from ipam.tunnel_pools import tunnel_pools
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix

IPIP_DEVICE = "tunl0"  # the kernel's own: it comes with the module, and cannot be deleted
IPIP_OVERHEAD = 20  # one more IPv4 header

Mode = Literal["Never", "Always", "CrossSubnet"]


class TunnelPool(NamedTuple):
    """A pool as far as tunnels go."""

    prefix: Prefix
    mode: Mode


@dataclass(frozen=True, slots=True)
class Ground:
    """What the ways to all nodes have in common.

    subnet: this node's, by the length of its address; None without an IPv4 address. device: 0 while it is not up.
    """

    pools: tuple[TunnelPool, ...] = ()
    subnet: Prefix | None = None
    device: int = 0
    mtu: int = 0

    def mode(self, prefix: Prefix) -> Mode:
        """Return how packets to these addresses go to another subnet, or to all nodes."""
        return next((pool.mode for pool in self.pools if pool.prefix.contains(prefix)), "Never")


class FarEnd(NamedTuple):
    """Another node's end of the tunnel: its address, packed, and whether it stands.

    A node notes its tunnel's address when it has brought the device up. Sent to earlier, a packet would be lost.
    """

    address: bytes
    stands: bool


def ground_of(pools: Iterable[IPPool], own: Node | None, device: int, mtu: int) -> Ground:
    """Return the common ground of one node. Disabled pools count: their addresses are still pods'."""
    tunnelled = (TunnelPool(Prefix.parse(p.spec.cidr), p.spec.ipip_mode) for p in pools if wants_ipip(p))
    address = own.ipv4 if own else None
    return Ground(tuple(sorted(tunnelled)), Prefix.of(str(address)) if address else None, device, mtu)


def wants_ipip(pool: IPPool) -> bool:
    return pool.version == 4 and pool.spec.ipip_mode != "Never"


def far_ends(nodes: Iterable[Node], pools: Iterable[IPPool]) -> dict[str, FarEnd | None]:
    """Return each node's end of the IPIP tunnel by its name; none at all as long as no pool wants tunnels."""
    tunnelled = [pool for pool in pools if wants_ipip(pool)]
    return {node.name: _far_end(node, tunnelled) for node in nodes} if tunnelled else {}


def _far_end(node: Node, pools: Iterable[IPPool]) -> FarEnd | None:
    """Return a node's end; None if it has no IPv4 address.

    A node that is to have no tunnel address, because no pool selects it, is not waited for.
    """
    if node.ipv4 is None:
        return None
    noted = node.tunnel_address("ipip") is not None
    return FarEnd(node.ipv4.ip.packed, noted or not tunnel_pools("ipip", node, pools))


class TunnelRoutes:
    """States what the source TUNNELS wants: all of it when the common ground changed, else only what moved."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership
        self.ground = Ground()
        self._ends: Mapping[str, FarEnd | None] = {}
        self._paths: dict[FarEnd, RouteSpec] = {}

    def stand_on(self, ground: Ground, ends: Mapping[str, FarEnd | None], whereabouts: RemoteBlocks) -> None:
        """Take in what is common and all far ends; what they lead to is to be looked at again where they changed."""
        if ground != self.ground:
            self._paths.clear()
            whereabouts.moved |= whereabouts.prefixes()
        for node in ends.keys() | self._ends.keys():
            if ends.get(node) != self._ends.get(node):
                whereabouts.node_changed(node)
        self.ground, self._ends = ground, ends

    def state(self, rib: Rib, whereabouts: RemoteBlocks) -> None:
        """State or take back the routes to whatever moved."""
        for prefix in whereabouts.take_moved():
            path = self._path(prefix, whereabouts.node_of(prefix))
            if path is None:
                rib.remove(Source.TUNNELS, prefix)
            else:
                rib.put(Source.TUNNELS, prefix, path)

    def waiting(self, whereabouts: RemoteBlocks) -> list[str]:
        """Return the nodes whose end of the tunnel does not stand yet, though routes are to lead there."""
        nodes = {whereabouts.node_of(prefix) for prefix in whereabouts.prefixes() if self._demanded(prefix)}
        return sorted(node for node in nodes if node and (end := self._ends.get(node)) and not end.stands)

    def _demanded(self, prefix: Prefix) -> bool:
        return self.ground.mode(prefix) != "Never"

    def _path(self, prefix: Prefix, node: str | None) -> RouteSpec | None:
        end = self._ends.get(node) if node else None
        mode = self.ground.mode(prefix)
        if mode == "Never" or end is None or not end.stands or not self._crosses(mode, end):
            return None
        if end not in self._paths:
            self._paths[end] = RouteSpec(
                self._ownership.local,
                hops=(NextHop(self.ground.device, end.address, onlink=True),) if self.ground.device else (),
                metric=self._ownership.metric,
                mtu=self.ground.mtu,
            )
        return self._paths[end]

    def _crosses(self, mode: Mode, end: FarEnd) -> bool:
        """True if the way to this node is one that the mode wants in a tunnel."""
        same = self.ground.subnet is not None and self.ground.subnet.contains(Prefix.host(end.address))
        return mode == "Always" or not same


def ipip_mtu(host_mtu: int, configurations: Mapping[str, FelixConfiguration], node: str) -> int:
    """Return the tunnel's MTU: as configured for the node or the cluster, else what the host's leaves."""
    for name in (f"node.{node}", "default"):
        said = configurations[name].spec.ipip_mtu if name in configurations else None
        if said:
            return said
    return host_mtu - IPIP_OVERHEAD


def pod_mtu(host_mtu: int, tunnel_mtu: int, pools: Iterable[IPPool]) -> int:
    """Return the largest packet of a pod: the smallest over the encapsulations that any pool has, else the host's."""
    return min(tunnel_mtu, host_mtu) if any(map(wants_ipip, pools)) else host_mtu
