"""Which BGP sessions this node has, and how: a Speaker, from the cluster's nodes and BGP settings.

Pure: no I/O, no clock, no logging. For the agent only: it reads pydantic resources, which the sidecar's process does
without. The rules are Calico's, so that both ends of a session come to the same one from the same objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Literal, TypedDict

from msgspec.structs import replace

from bgp.candidate import Candidate
from bgp.exabgp_config import LONGEST_HOLD_SECONDS, LONGEST_RESTART_SECONDS
from bgp.notices import held_back
from bgp.passwords import KnownSecrets, SessionPassword, secret_key, session_password
from bgp.peer_annotations import import_policy
from bgp.peering_inputs import DEFAULT_PORT, PeeringInputs, addresses
from bgp.session_notices import session_notices
from bgp.speaker import ImportPolicy, LocalNode, Neighbour, SessionKind, Speaker
from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.node import Node
from datastore.notices import Notice
from net.family import Family, family_of_version
from net.prefix import Prefix, pack

HOLD_SECONDS = 90
RESTART_SECONDS = 120


def speaker_of(
    node_name: str,
    nodes: Iterable[Node],
    bgp_configuration: BGPConfiguration | None,
    peers: Iterable[BGPPeer],
    *,
    own_blocks: Iterable[Prefix] = (),
    pools: Iterable[Prefix] = (),
    owners: Mapping[Prefix, str] | None = None,
    router_id: IPv4Address | Literal["hash"] | None = None,
    node_configurations: Mapping[str, BGPConfiguration] | None = None,
    interfaces: Iterable[IPv4Interface | IPv6Interface] = (),
    secrets: KnownSecrets | None = None,
) -> tuple[Speaker, tuple[Notice, ...]]:
    """Return this node as a BGP speaker, and which BGPPeers yield no session although they name this node, or none.

    There is one session per address: a BGPPeer wins over the mesh, an earlier BGPPeer (global ones first, then by name)
    over a later one. A session that must not come up takes its address all the same: the mesh does not take its place.
    What of a field is not obeyed is reported by bgp/notices.py. `owners` names the node of each block that is not ours;
    it counts where a peer is no node, and hands such routes on. `node_configurations` are
    those named `node.NAME`, by node name. `interfaces` are this host's addresses with their networks, from which a
    BGPPeer without source address has its own. `secrets` are those that passwords are in, where the datastore has some.
    """
    inputs = PeeringInputs(tuple(nodes), bgp_configuration, node_configurations or {}, tuple(interfaces))
    own = inputs.node(node_name)
    in_order = sorted(peers, key=lambda peer: (not peer.is_global, peer.name))
    candidates = () if own is None else tuple(_candidates(own, inputs, in_order, secrets))
    chosen: dict[str, Candidate] = {}
    for candidate in candidates:
        chosen.setdefault(candidate.neighbour.address, candidate)
    identity = router_id_of(node_name, own, router_id)
    local = _local_node(own, inputs, identity, chosen)
    if any(not each.neighbour.is_node for each in chosen.values()):
        others = frozenset(pack(at) for node in inputs.nodes if node is not own for at in addresses(node).values())
        local = replace(local, owners=tuple(_owners(inputs.nodes, owners or {})), nodes=others)
    speaker = Speaker(
        name=node_name,
        router_id=identity,
        listen=() if own is None else tuple(addresses(own).values()),
        port=inputs.port_of(node_name),
        neighbours=tuple(each.neighbour for each in chosen.values() if each.held_back is None),
        local=replace(local, own_blocks=tuple(own_blocks), pools=tuple(pools), services=inputs.services()),
        held_back=tuple(each.as_held_back() for each in chosen.values() if each.held_back is not None),
    )
    notices = session_notices(own, inputs, in_order, candidates, chosen, has_secrets=secrets is not None)
    return speaker, notices


def _local_node(own: Node | None, inputs: PeeringInputs, identity: bytes, chosen: Mapping[str, Candidate]) -> LocalNode:
    """Return what follows from the nodes and the sessions alone. A node that is not there has no addresses."""
    if own is None:
        return LocalNode(DEFAULT_AS_NUMBER, identity, hosts=frozenset(map(pack, inputs.addresses())))
    return LocalNode(
        own_as=inputs.as_of(own),
        router_id=identity,
        own_addresses=frozenset(map(pack, addresses(own).values())),
        hosts=frozenset(map(pack, (*chosen, *inputs.addresses()))),
        connected=tuple(_subnets(own)),
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


def _subnets(node: Node) -> Iterator[Prefix]:
    for interface in (node.ipv4, node.ipv6):
        if interface is not None:
            yield Prefix.parse(str(interface.network))


def _owners(nodes: Iterable[Node], owners: Mapping[Prefix, str]) -> Iterator[tuple[Prefix, tuple[bytes, ...]]]:
    """Yield the addresses of the node that each network belongs to, in order."""
    at = {node.name: tuple(map(pack, addresses(node).values())) for node in nodes}
    yield from ((prefix, at[node]) for prefix, node in sorted(owners.items()) if node in at)


def _candidates(
    own: Node, inputs: PeeringInputs, peers: Iterable[BGPPeer], secrets: KnownSecrets | None
) -> Iterator[Candidate]:
    """Yield every session that is configured, the one that wins for its address first."""
    for sessions in (_explicit, _reverse):
        for peer in peers:
            if not peer.spec.local_workload_selector:
                password = session_password(peer.spec.password, secrets)
                for neighbour in sessions(own, inputs, peer):
                    yield _candidate(neighbour, peer, password)
    password = session_password(inputs.mesh_password(), secrets)
    yield from (_candidate(neighbour, None, password) for neighbour in _mesh(own, inputs))


def _candidate(neighbour: Neighbour, peer: BGPPeer | None, password: SessionPassword) -> Candidate:
    if (reason := held_back(peer)) is not None:
        return Candidate(neighbour, peer, reason)
    return Candidate(replace(neighbour, password=password.text), peer, password.held_back, password)


def has_session(
    node_name: str,
    nodes: Iterable[Node],
    bgp_configuration: BGPConfiguration | None,
    peers: Iterable[BGPPeer],
    node_configurations: Mapping[str, BGPConfiguration] | None = None,
) -> bool:
    """Whether any session of this node is configured, be it one that must not come up."""
    inputs = PeeringInputs(tuple(nodes), bgp_configuration, node_configurations or {})
    own = inputs.node(node_name)
    return own is not None and any(True for _ in _candidates(own, inputs, tuple(peers), None))


def secrets_named(
    node_name: str,
    nodes: Iterable[Node],
    bgp_configuration: BGPConfiguration | None,
    peers: Iterable[BGPPeer],
    node_configurations: Mapping[str, BGPConfiguration] | None = None,
) -> dict[str, frozenset[str]]:
    """Return the Secrets that the passwords of this node's sessions are in, and which keys of them."""
    inputs = PeeringInputs(tuple(nodes), bgp_configuration, node_configurations or {})
    own = inputs.node(node_name)
    if own is None:
        return {}
    asked = [peer.spec.password for peer in peers if peer.spec.password and _has_session(own, inputs, peer)]
    if (password := inputs.mesh_password()) is not None and any(True for _ in _mesh(own, inputs)):
        asked.append(password)
    found: dict[str, frozenset[str]] = {}
    for secret, key in filter(None, map(secret_key, asked)):
        found[secret] = found.get(secret, frozenset()) | {key}
    return found


def _has_session(own: Node, inputs: PeeringInputs, peer: BGPPeer) -> bool:
    """Whether a session of this node that may come up follows from a BGPPeer."""
    if peer.spec.local_workload_selector or held_back(peer) is not None:
        return False
    return any(True for sessions in (_explicit, _reverse) for _ in sessions(own, inputs, peer))


def _mesh(own: Node, inputs: PeeringInputs) -> Iterator[Neighbour]:
    """Yield a session with each other node. Route reflectors take no part: they are peered with explicitly."""
    if not inputs.has_mesh() or own.cluster_id is not None:
        return
    settings = inputs.configuration
    restart = settings.mesh_restart_seconds if settings is not None else None
    for node in inputs.nodes:
        if node.name != own.name and node.cluster_id is None:
            yield from _with_node(
                own,
                node,
                inputs,
                "mesh",
                restart_time=_restart_time(restart),
                import_policy=import_policy(None, settings),
            )


def _explicit(own: Node, inputs: PeeringInputs, peer: BGPPeer) -> Iterator[Neighbour]:
    """Yield the sessions of a BGPPeer of whose local side this node is."""
    if not peer.starts_at(own.name, own.labels):
        return
    kind: SessionKind = "global" if peer.is_global else "node"
    if peer.spec.peer_selector:
        for node in inputs.nodes:
            if node.name != own.name and peer.leads_to(node.labels):
                yield from _with_node(
                    own, node, inputs, kind, local_as=peer.local_as_number, **_options(peer, inputs.configuration)
                )
    elif peer.address is not None:
        yield from _with_address(own, inputs, peer, peer.address, kind)


def _with_address(
    own: Node, inputs: PeeringInputs, peer: BGPPeer, address: IPv4Address | IPv6Address, kind: SessionKind
) -> Iterator[Neighbour]:
    family = family_of_version(address.version)
    here = addresses(own).get(family)
    node = inputs.node_at(str(address))
    peer_as = inputs.peer_as(peer)
    if here is None or here == str(address):
        return
    source = inputs.source_to(address) if peer.spec.source_address == "None" and node is None else None
    yield Neighbour(
        address=str(address),
        local_address=source or here,
        peer_as=peer_as,
        local_as=peer.local_as_number or inputs.as_of(own),
        kind=kind,
        is_node=node is not None,
        passive=node is not None and str(address) > here,
        families=(family,),
        port=peer.port or (DEFAULT_PORT if node is None else inputs.port_of(node.name)),
        **_options(peer, inputs.configuration),
    )


def _reverse(own: Node, inputs: PeeringInputs, peer: BGPPeer) -> Iterator[Neighbour]:
    """Yield the other end of a BGPPeer of whose remote side this node is: a session back to each local side."""
    if peer.spec.reverse_peering == "Manual":
        return
    families = _remote_side_families(peer, own, inputs)
    for node in inputs.nodes if families else ():
        if node.name != own.name and peer.starts_at(node.name, node.labels):
            back = _with_node(
                own, node, inputs, "node", peer_as=peer.local_as_number, **_options(peer, inputs.configuration)
            )
            yield from (neighbour for neighbour in back if neighbour.families[0] in families)


def _remote_side_families(peer: BGPPeer, own: Node, inputs: PeeringInputs) -> tuple[Family, ...]:
    """Return the families in which a BGPPeer means us by its selector, or by our address, AS and port."""
    if peer.spec.peer_selector:
        return tuple(addresses(own)) if peer.leads_to(own.labels) else ()
    meant = (
        peer.address is not None
        and (peer.as_number is None or peer.as_number == inputs.as_of(own))
        and (peer.port is None or peer.port == inputs.port_of(own.name))
    )
    return tuple(family for family, address in addresses(own).items() if meant and address == str(peer.address))


def _with_node(
    own: Node,
    node: Node,
    inputs: PeeringInputs,
    kind: SessionKind,
    *,
    local_as: int | None = None,
    peer_as: int | None = None,
    hold_time: int = HOLD_SECONDS,
    restart_time: int = RESTART_SECONDS,
    ttl_hops: int | None = None,
    import_policy: ImportPolicy = ImportPolicy(),  # noqa: B008  (frozen)
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
                peer_as=peer_as or inputs.as_of(node),
                local_as=local_as or inputs.as_of(own),
                kind=kind,
                passive=there[family] > here[family],
                families=(family,),
                port=inputs.port_of(node.name),
                hold_time=hold_time,
                restart_time=restart_time,
                ttl_hops=ttl_hops,
                import_policy=import_policy,
            )


class _SessionOptions(TypedDict):
    hold_time: int
    restart_time: int
    ttl_hops: int | None
    import_policy: ImportPolicy


def _options(peer: BGPPeer, configuration: BGPConfiguration | None) -> _SessionOptions:
    """Return how a BGPPeer wants the session itself. Hold time is three keepalives (RFC 4271 §10), at least 3 s."""
    keepalive = peer.keepalive_seconds
    return {
        "hold_time": HOLD_SECONDS if keepalive is None else 3 * _within(keepalive, 1, LONGEST_HOLD_SECONDS // 3),
        "restart_time": _restart_time(peer.restart_seconds),
        "ttl_hops": peer.spec.ttl_security or None,
        "import_policy": import_policy(peer, configuration),
    }


def _restart_time(wanted: float | None) -> int:
    return RESTART_SECONDS if wanted is None else _within(wanted, 1, LONGEST_RESTART_SECONDS)


def _within(wanted: float, least: int, most: int) -> int:
    """Return the whole number of seconds in the range that is nearest, for infinity too."""
    return int(max(least, min(wanted, most)))
