"""Who this node peers with, and how: a Speaker as a function of the cluster's nodes and BGP settings.

Pure: no I/O, no clock, no logging. For the agent only: it reads pydantic resources, which the sidecar's process does
without. The rules are Calico's, so that both ends of a session come to the same one from the same objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, TypedDict

from bgp.speaker import Family, ImportPolicy, Neighbour, SessionKind, Speaker
from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.kinds.bgp import BGPConfiguration, BGPPeer, Password
from datastore.kinds.node import Node
from net.prefix import Prefix, pack

DEFAULT_PORT = 179
HOLD_SECONDS = 90
RESTART_SECONDS = 120
# What fits into the capability's 12 bits (RFC 4724 §3).
LONGEST_RESTART_SECONDS = 4095

SecretKey = tuple[str, str]


@dataclass(frozen=True)
class PeeringInputs:
    """Every node, and what is agreed among them. `passwords` are the values of Secrets by name and key."""

    nodes: tuple[Node, ...]
    configuration: BGPConfiguration | None = None
    node_configurations: Mapping[str, BGPConfiguration] = field(default_factory=dict)
    passwords: Mapping[SecretKey, str] = field(default_factory=dict)

    def as_of(self, node: Node) -> int:
        if node.as_number is not None:
            return node.as_number
        return DEFAULT_AS_NUMBER if self.configuration is None else self.configuration.as_number

    def port_of(self, name: str) -> int:
        """Return where a node listens: its own setting, else the cluster's."""
        own = self.node_configurations.get(name)
        if own is not None and "listen_port" in own.spec.model_fields_set:
            return own.spec.listen_port
        return DEFAULT_PORT if self.configuration is None else self.configuration.spec.listen_port

    def node_at(self, address: str) -> Node | None:
        return next((node for node in self.nodes if address in addresses(node).values()), None)

    def has_mesh(self) -> bool:
        return self.configuration is None or self.configuration.spec.node_to_node_mesh_enabled

    def password(self, reference: Password | None) -> str | None:
        """Return the key of the Secret referred to; None where there is none: the session is tried without."""
        if reference is None or reference.secret_key_ref is None:
            return None
        return self.passwords.get((reference.secret_key_ref.name or "", reference.secret_key_ref.key))


def speaker_of(
    node_name: str,
    nodes: Iterable[Node],
    bgp_configuration: BGPConfiguration | None,
    peers: Iterable[BGPPeer],
    *,
    own_blocks: Iterable[Prefix] = (),
    pools: Iterable[Prefix] = (),
    router_id: IPv4Address | Literal["hash"] | None = None,
    passwords: Mapping[SecretKey, str] | None = None,
    node_configurations: Mapping[str, BGPConfiguration] | None = None,
) -> Speaker:
    """Return this node as a BGP speaker.

    There is one session per address: what a BGPPeer says wins over the mesh, an earlier BGPPeer (global ones first,
    then by name) over a later one. `node_configurations` are those named `node.NAME`, by node name.
    """
    cluster = PeeringInputs(tuple(nodes), bgp_configuration, node_configurations or {}, passwords or {})
    own = next((node for node in cluster.nodes if node.name == node_name), None)
    here = addresses(own) if own is not None else {}
    identity = router_id_of(node_name, own, router_id)
    policy = ImportPolicy(
        own_as=DEFAULT_AS_NUMBER if own is None else cluster.as_of(own),
        router_id=identity,
        own_addresses=frozenset(map(pack, here.values())),
        own_blocks=tuple(own_blocks),
        pools=tuple(pools),
    )
    return Speaker(
        name=node_name,
        router_id=identity,
        listen=tuple(here.values()),
        port=cluster.port_of(node_name),
        neighbours=() if own is None else tuple(_neighbours(own, cluster, peers)),
        policy=policy,
    )


def router_id_of(node_name: str, node: Node | None, setting: IPv4Address | Literal["hash"] | None = None) -> bytes:
    """Return the router id: the one set, a hash of the node's name, or the node's IPv4 address.

    A node without IPv4 address, for which nothing is set, gets the hash too.
    """
    if isinstance(setting, IPv4Address):
        return setting.packed
    if setting is None and node is not None and node.ipv4 is not None:
        return node.ipv4.ip.packed
    first, *rest = hashlib.sha256(node_name.encode()).digest()[:4]
    # 224 and above would be a multicast or reserved address.
    return bytes((first - 32 if first > 223 else first, *rest))


def addresses(node: Node) -> dict[Family, str]:
    """Return the addresses at which a node speaks BGP, in canonical text."""
    found: dict[Family, str] = {}
    if node.ipv4 is not None:
        found["ipv4"] = str(node.ipv4.ip)
    if node.ipv6 is not None:
        found["ipv6"] = str(node.ipv6.ip)
    return found


def _neighbours(own: Node, cluster: PeeringInputs, peers: Iterable[BGPPeer]) -> Collection[Neighbour]:
    chosen: dict[str, Neighbour] = {}
    in_order = sorted(peers, key=lambda peer: (not peer.is_global, peer.name))
    for candidates in (
        _explicit(own, cluster, in_order),
        _reverse(own, cluster, in_order),
        _mesh(own, cluster),
    ):
        for neighbour in candidates:
            chosen.setdefault(neighbour.address, neighbour)
    return chosen.values()


def _mesh(own: Node, cluster: PeeringInputs) -> Iterator[Neighbour]:
    """Yield a session with each other node. Route reflectors take no part: they are peered with explicitly."""
    if not cluster.has_mesh() or own.cluster_id is not None:
        return
    settings = cluster.configuration
    restart = settings.mesh_restart_seconds if settings is not None else None
    password = cluster.password(settings.spec.node_mesh_password) if settings is not None else None
    for node in cluster.nodes:
        if node.name != own.name and node.cluster_id is None:
            yield from _with_node(own, node, cluster, "mesh", restart_time=_restart_time(restart), password=password)


def _explicit(own: Node, cluster: PeeringInputs, peers: Iterable[BGPPeer]) -> Iterator[Neighbour]:
    """Yield what the BGPPeers say whose local side we are on."""
    for peer in peers:
        if not peer.starts_at(own.name, own.labels) or peer.spec.local_workload_selector:
            continue
        kind: SessionKind = "global" if peer.is_global else "node"
        if peer.spec.peer_selector:
            for node in cluster.nodes:
                if node.name != own.name and peer.leads_to(node.labels):
                    yield from _with_node(
                        own, node, cluster, kind, local_as=peer.local_as_number, **_options(peer, cluster)
                    )
        elif peer.address is not None:
            yield from _with_address(own, peer, peer.address, cluster, kind)


def _with_address(
    own: Node, peer: BGPPeer, address: IPv4Address | IPv6Address, cluster: PeeringInputs, kind: SessionKind
) -> Iterator[Neighbour]:
    family: Family = "ipv4" if address.version == 4 else "ipv6"
    here = addresses(own).get(family)
    node = cluster.node_at(str(address))
    peer_as = peer.as_number or (cluster.as_of(node) if node is not None else None)
    if here is None or here == str(address) or peer_as is None:
        return
    yield Neighbour(
        address=str(address),
        local_address=here,
        peer_as=peer_as,
        local_as=peer.local_as_number or cluster.as_of(own),
        kind=kind,
        is_node=node is not None,
        passive=node is not None and str(address) > here,
        families=(family,),
        port=peer.port or (DEFAULT_PORT if node is None else cluster.port_of(node.name)),
        **_options(peer, cluster),
    )


def _reverse(own: Node, cluster: PeeringInputs, peers: Iterable[BGPPeer]) -> Iterator[Neighbour]:
    """Yield the other end of what BGPPeers say whose remote side we are: a session back to each local side."""
    for peer in peers:
        if peer.spec.reverse_peering == "Manual" or peer.spec.local_workload_selector:
            continue
        families = _remote_side_families(peer, own, cluster)
        for node in cluster.nodes if families else ():
            if node.name != own.name and peer.starts_at(node.name, node.labels):
                back = _with_node(own, node, cluster, "node", peer_as=peer.local_as_number, **_options(peer, cluster))
                yield from (neighbour for neighbour in back if neighbour.families[0] in families)


def _remote_side_families(peer: BGPPeer, own: Node, cluster: PeeringInputs) -> tuple[Family, ...]:
    """Return the families in which a BGPPeer means us by its selector, or by our address, AS and port."""
    if peer.spec.peer_selector:
        return tuple(addresses(own)) if peer.leads_to(own.labels) else ()
    meant = (
        peer.address is not None
        and (peer.as_number is None or peer.as_number == cluster.as_of(own))
        and (peer.port is None or peer.port == cluster.port_of(own.name))
    )
    return tuple(family for family, address in addresses(own).items() if meant and address == str(peer.address))


def _with_node(
    own: Node,
    node: Node,
    cluster: PeeringInputs,
    kind: SessionKind,
    *,
    local_as: int | None = None,
    peer_as: int | None = None,
    hold_time: int = HOLD_SECONDS,
    restart_time: int = RESTART_SECONDS,
    password: str | None = None,
    ttl_hops: int | None = None,
) -> Iterator[Neighbour]:
    """Yield one session per family that both nodes have.

    The end whose peer has the greater address, compared as text, waits to be called: a Calico node decides the same.
    """
    here, there = addresses(own), addresses(node)
    for family in here:
        if family in there and here[family] != there[family]:
            yield Neighbour(
                address=there[family],
                local_address=here[family],
                peer_as=peer_as or cluster.as_of(node),
                local_as=local_as or cluster.as_of(own),
                kind=kind,
                passive=there[family] > here[family],
                families=(family,),
                port=cluster.port_of(node.name),
                hold_time=hold_time,
                restart_time=restart_time,
                password=password,
                ttl_hops=ttl_hops,
            )


class _Options(TypedDict):
    hold_time: int
    restart_time: int
    password: str | None
    ttl_hops: int | None


def _options(peer: BGPPeer, cluster: PeeringInputs) -> _Options:
    """Return what a BGPPeer says of the session itself. Hold time is three keepalives (RFC 4271 §10), at least 3 s."""
    keepalive = peer.keepalive_seconds
    return {
        "hold_time": HOLD_SECONDS if keepalive is None else max(3, 3 * int(keepalive)),
        "restart_time": _restart_time(peer.restart_seconds),
        "password": cluster.password(peer.spec.password),
        "ttl_hops": peer.spec.ttl_security or None,
    }


def _restart_time(wanted: float | None) -> int:
    return RESTART_SECONDS if wanted is None else max(1, min(int(wanted), LONGEST_RESTART_SECONDS))
