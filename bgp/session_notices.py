"""What is said of BGPPeers and passwords from which no session follows, or another than the one asked for.

Pure. For the agent only: it reads pydantic resources, which the sidecar's process does without. What of a field is not
obeyed whatever else there is, is in bgp/notices.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address

from msgspec.structs import replace

from bgp.candidate import Candidate
from bgp.peering_inputs import PeeringInputs, addresses
from datastore.field_rules import NotObeyed, notice_of
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.node import Node
from datastore.notices import Notice
from net.family import family_of_version

_NO_LOCAL_ADDRESS = NotObeyed("this node has no address of that family", "it makes no such session")
_OWN_ADDRESS = NotObeyed("it is this node's own address, and no other node has the peering", "no session is made")
_NO_SUCH_NODE = NotObeyed("no node has labels that match", "no session is made until one has")
_NO_NODE_OF_THAT_NAME = NotObeyed("there is no node of that name", "no session is made until there is one")
_NO_REMOTE_SIDE = NotObeyed("neither peerIP nor peerSelector is set", "no session is made")
_KNOWN_BY_ITS_ADDRESS = NotObeyed(
    "a node expects the sessions of another from its address", "those with nodes start from this node's address"
)
_NO_PASSWORD = "its sessions are not brought up until the password is there"
_OLD_PASSWORD = "its sessions go on with the password last read"


def session_notices(
    own: Node | None,
    inputs: PeeringInputs,
    peers: Collection[BGPPeer],
    candidates: Iterable[Candidate],
    chosen: Mapping[str, Candidate],
    *,
    has_secrets: bool,
) -> tuple[Notice, ...]:
    """Return the notices, in order. chosen: of the candidates the one that has each address.

    has_secrets: whether the datastore has those that passwords are in.
    """
    found = {
        *_overridden(candidates, chosen),
        *_without_session(own, inputs, peers),
        *_from_another_source(chosen.values(), inputs),
        *of_no_node(inputs.nodes, peers),
        *(_password_notices(chosen.values(), inputs) if has_secrets else ()),
    }
    return tuple(sorted(found))


def _password_notices(chosen: Iterable[Candidate], inputs: PeeringInputs) -> Iterator[Notice]:
    """Yield a notice for each password that is not there, or may be another by now."""
    for one in chosen:
        source, field = (
            (inputs.configuration, "spec.nodeMeshPassword") if one.peer is None else (one.peer, "spec.password")
        )
        if source is not None and one.password.held_back:
            yield notice_of(source, field, NotObeyed(one.password.held_back, _NO_PASSWORD))
        elif source is not None and one.password.doubt:
            yield notice_of(source, field, NotObeyed(one.password.doubt, _OLD_PASSWORD))


def _overridden(candidates: Iterable[Candidate], chosen: Mapping[str, Candidate]) -> Iterator[Notice]:
    """Yield a notice for each BGPPeer whose session gave way to another BGPPeer's, where they differ."""
    for candidate in candidates:
        winner = chosen[candidate.neighbour.address]
        if candidate.peer is None or winner.peer is candidate.peer:
            continue
        same = replace(candidate.neighbour, kind=winner.neighbour.kind) == winner.neighbour
        if not same or candidate.held_back != winner.held_back:
            yield notice_of(candidate.peer, "", _overridden_by(winner))


def _overridden_by(winner: Candidate) -> NotObeyed:
    name = f'BGPPeer "{winner.peer.name}"' if winner.peer else "the mesh"
    return NotObeyed(
        f"{name} configures a session with {winner.neighbour.address} too",
        f"{name} applies: those of all nodes come first, then the first by name",
    )


def _without_session(own: Node | None, inputs: PeeringInputs, peers: Iterable[BGPPeer]) -> Iterator[Notice]:
    """Yield a notice for each BGPPeer of this node from which no session can follow.

    But for those with a selector that can't be read, of which there is one in bgp/notices.py.
    """
    for peer in filter(_is_read, peers):
        if own is None or peer.spec.local_workload_selector or not peer.starts_at(own.name, own.labels):
            continue
        if peer.address is not None:
            others = (node for node in inputs.nodes if node.name != own.name)
            if str(peer.address) in addresses(own).values():
                if not any(peer.starts_at(node.name, node.labels) for node in others):
                    yield notice_of(peer, "spec.peerIP", _OWN_ADDRESS)
            elif family_of_version(peer.address.version) not in addresses(own):
                yield notice_of(peer, "spec.peerIP", _NO_LOCAL_ADDRESS)
        elif not peer.spec.peer_selector:
            yield notice_of(peer, "", _NO_REMOTE_SIDE)
        elif not any(peer.leads_to(node.labels) for node in inputs.nodes):
            yield notice_of(peer, "spec.peerSelector", _NO_SUCH_NODE)


def _from_another_source(chosen: Iterable[Candidate], inputs: PeeringInputs) -> Iterator[Notice]:
    """Yield a notice for each BGPPeer without source address one of whose sessions the kernel would start elsewhere."""
    for neighbour, peer, *_ in chosen:
        if peer is not None and peer.spec.source_address == "None" and neighbour.is_node:
            source = inputs.source_to(ip_address(neighbour.address))
            if source not in (None, neighbour.local_address):
                yield notice_of(peer, "spec.sourceAddress", _KNOWN_BY_ITS_ADDRESS)


def of_no_node(nodes: Collection[Node], peers: Collection[BGPPeer]) -> Iterator[Notice]:
    """Yield a notice for each BGPPeer that is no node's, as one with a typing error: of every node, as none has it.

    felixctl says it too, of what it has just written.
    """
    names = {node.name for node in nodes}
    selecting = {peer.spec.node_selector: peer for peer in filter(_is_read, peers) if peer.spec.node_selector}
    labels = [(node.name, node.labels) for node in nodes] if selecting else []  # made up anew for each look
    unmatched = {text for text, peer in selecting.items() if not any(peer.starts_at(*each) for each in labels)}
    for peer in peers:
        if peer.spec.node and peer.spec.node not in names:
            yield notice_of(peer, "spec.node", _NO_NODE_OF_THAT_NAME)
        elif peer.spec.node_selector in unmatched:
            yield notice_of(peer, "spec.nodeSelector", _NO_SUCH_NODE)


def _is_read(peer: BGPPeer) -> bool:
    return not any(True for _ in peer.unread_selectors())
