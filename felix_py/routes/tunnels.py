"""Routes to other nodes' pods through a tunnel, where pool mode and subnets demand one.

Pure: no I/O, no clock, no logging. Which node has a block its affinity says; which has a borrowed address, the next hop
with which it is announced, so the datastore is not asked for what changes with each pod. One `TunnelRoutes` serves one
kind of encapsulation. A kind whose routes need more than the node's address, such as VXLAN's gateway and MAC, adds it
to `RemoteTunnel`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from bgp.speaker import LearnedPaths
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import WatchEvent
from felix_py.encap.encapsulation import Encapsulation, Mode
from felix_py.routes.fib import Ownership
from felix_py.routes.remote_blocks import RemoteBlocks
from felix_py.routes.rib import Rib, Source
from felix_py.snapshot import Pool
from felix_py.topics import Topic
from ipam.tunnel_pools import tunnel_pools
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix


class TunnelPool(NamedTuple):
    """A pool as far as tunnels go."""

    prefix: Prefix
    mode: Mode


class TunnelSettings(Struct, frozen=True):
    """What the routes to all nodes have in common.

    subnet: this node's, by the length of its address; None without one. device: an index, 0 while it is not up.
    """

    pools: tuple[TunnelPool, ...] = ()
    subnet: Prefix | None = None
    device: int = 0
    mtu: int = 0

    def mode(self, prefix: Prefix) -> Mode:
        """Return how packets to these addresses go to another subnet, or to all nodes."""
        return next((pool.mode for pool in self.pools if pool.prefix.contains(prefix)), "Never")


class RemoteTunnel(NamedTuple):
    """Another node's end of the tunnel: the node's address, packed, and whether the end takes packets.

    A node notes its tunnel's address on its Node when it has brought the device up. Sent earlier, a packet is lost.
    """

    address: bytes
    ready: bool


def tunnel_settings(
    encapsulation: Encapsulation, pools: Iterable[Pool], own: Node | None, device: int, mtu: int
) -> TunnelSettings:
    """Return the settings of one node. Disabled pools count: their addresses are still pods'."""
    tunnelled = (
        TunnelPool(pool.prefix, encapsulation.mode_of(pool.resource))
        for pool in pools
        if encapsulation.wanted_by(pool.resource)
    )
    address = own.ipv4 if own else None
    return TunnelSettings(tuple(sorted(tunnelled)), Prefix.of(str(address)) if address else None, device, mtu)


def remote_tunnels(
    encapsulation: Encapsulation, nodes: Iterable[Node], pools: Iterable[Pool]
) -> dict[str, RemoteTunnel | None]:
    """Return each node's end of the tunnel by the node's name; none at all as long as no pool wants tunnels."""
    tunnelled = [pool.resource for pool in pools if encapsulation.wanted_by(pool.resource)]
    return {node.name: _remote_tunnel(encapsulation, node, tunnelled) for node in nodes} if tunnelled else {}


def _remote_tunnel(encapsulation: Encapsulation, node: Node, pools: Iterable[IPPool]) -> RemoteTunnel | None:
    """Return a node's end; None if the node has no IPv4 address.

    A node that is to have no tunnel address, because no pool selects it, is not waited for.
    """
    if node.ipv4 is None:
        return None
    noted = node.tunnel_address(encapsulation.kind) is not None
    return RemoteTunnel(node.ipv4.ip.packed, noted or not tunnel_pools(encapsulation.kind, node, pools))


class TunnelRoutes:
    """States what the source TUNNELS wants: all of it when the settings changed, else only what leads elsewhere now."""

    def __init__(
        self, ownership: Ownership, encapsulation: Encapsulation, node: str, *, use_pod_cidrs: bool = False
    ) -> None:
        """node: this node's name. use_pod_cidrs: as in `Snapshot`."""
        self._ownership, self.encapsulation = ownership, encapsulation
        self.settings = TunnelSettings()
        self._remote_blocks = RemoteBlocks(node, use_pod_cidrs=use_pod_cidrs)
        self._announced: dict[Prefix, LearnedPaths] = {}  # addresses of tunnelled pools, each on its own
        self._ends: Mapping[str, RemoteTunnel | None] = {}
        self._ends_at: dict[bytes, RemoteTunnel] = {}
        self._specs: dict[tuple[int, tuple[RemoteTunnel, ...]], RouteSpec] = {}

    def fold(self, event: WatchEvent) -> Topic:
        """Take in one watch event; return what it concerns."""
        return Topic.REMOTE_BLOCKS if self._remote_blocks.fold(event) else Topic.NOTHING

    def learn(self, routes: Mapping[Prefix, LearnedPaths]) -> bool:
        """Take in what peers announce; return whether routes are due."""
        if self.settings.pools:
            found = self._tunnelled(routes)
            self._announced.update(found)
            self._remote_blocks.changed.update(found)
        return bool(self._remote_blocks.changed)

    def withdraw(self, prefixes: Iterable[Prefix]) -> bool:
        """Take in what no peer announces any more; return whether routes are due."""
        for prefix in prefixes:
            if self._announced.pop(prefix, None) is not None:
                self._remote_blocks.changed.add(prefix)
        return bool(self._remote_blocks.changed)

    def update(
        self,
        settings: TunnelSettings,
        ends: Mapping[str, RemoteTunnel | None],
        learned: Mapping[Prefix, LearnedPaths],
    ) -> None:
        """Take in the settings and every node's end; the routes that depend on what changed are due again.

        learned: all that peers announce, looked through where the pools are others.
        """
        due = self._remote_blocks.changed
        before, self.settings = self.settings, settings
        if settings.pools != before.pools:
            due.update(self._announced)
            self._announced = self._tunnelled(learned)
        if settings != before:
            self._specs.clear()
            self._remote_blocks.mark_all()
            due.update(self._announced)
        moved: set[bytes] = set()
        for node in ends.keys() | self._ends.keys():
            if ends.get(node) != self._ends.get(node):
                self._remote_blocks.mark_node(node)
                moved.update(end.address for end in (ends.get(node), self._ends.get(node)) if end)
        if moved:
            at = (prefix for prefix, paths in self._announced.items() if any(path.next_hop in moved for path in paths))
            due.update(at)
            self._ends_at = {end.address: end for end in ends.values() if end}
        self._ends = ends

    def _tunnelled(self, learned: Mapping[Prefix, LearnedPaths]) -> dict[Prefix, LearnedPaths]:
        """Return the single addresses among what is announced that a pool wants in a tunnel."""
        mode = self.settings.mode
        return {at: paths for at, paths in learned.items() if at.is_host and mode(at) != "Never"}

    def state(self, rib: Rib) -> None:
        """State or take back the routes that are due."""
        for prefix in self._remote_blocks.take_changed():
            spec = self._spec(prefix)
            if spec is None:
                rib.remove(Source.TUNNELS, prefix)
            else:
                rib.put(Source.TUNNELS, prefix, spec)

    def owners(self) -> Mapping[Prefix, str]:
        """Return the node that each block of another node belongs to, by the datastore; borrowed addresses likewise,
        where it reports them. Always the same view, kept current."""
        return self._remote_blocks.owners()

    def waiting(self) -> list[str]:
        """Return the nodes whose end of the tunnel is not ready yet, though routes are to lead there."""
        nodes = {node for prefix, node in self.owners().items() if self.settings.mode(prefix) != "Never"}
        return sorted(node for node in nodes if (end := self._ends.get(node)) and not end.ready)

    def _spec(self, prefix: Prefix) -> RouteSpec | None:
        """Return the route to a block or an address. One that rests on what peers announce is theirs to withdraw."""
        mode = self.settings.mode(prefix)
        if mode == "Never":
            return None
        node = self._remote_blocks.node_of(prefix)
        found = [self._ends.get(node)] if node else self._next_hops(prefix)
        ends = tuple(end for end in found if end is not None and end.ready and self._crosses(mode, end))
        if not ends:
            return None
        protocol = self._ownership.local if node else self._ownership.learned
        if (protocol, ends) not in self._specs:
            device = self.settings.device
            self._specs[protocol, ends] = RouteSpec(
                protocol,
                hops=tuple(NextHop(device, end.address, onlink=True) for end in ends) if device else (),
                metric=self._ownership.metric,
                mtu=self.settings.mtu,
            )
        return self._specs[protocol, ends]

    def _next_hops(self, prefix: Prefix) -> list[RemoteTunnel | None]:
        """Return the ends of the nodes with which an address is announced."""
        paths = self._announced.get(prefix, ())
        return [self._ends_at.get(next_hop) for next_hop in dict.fromkeys(path.next_hop for path in paths)]

    def _crosses(self, mode: Mode, end: RemoteTunnel) -> bool:
        """True if the way to this node is one that the mode wants in a tunnel."""
        same = self.settings.subnet is not None and self.settings.subnet.contains(Prefix.host(end.address))
        return mode == "Always" or not same
