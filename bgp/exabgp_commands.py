"""Announcements, withdrawals and ends-of-RIB as lines of ExaBGP's command language.

Sans-IO: the pipe belongs to bgp/exabgp_process.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bgp.speaker import AsPathSegment, Attributes
from net.family import Family
from net.prefix import Prefix, unpack

_PEERS_PER_LINE = 100
# So few have a line each: one for several is answered with success if one of them is up, and the others are logged.
_ANSWERED_EACH = 10
_PREFIXES_PER_LINE = 100  # a longer line gains nothing, and is one answer for all that is on it


def announce(routes: Mapping[Prefix, Attributes], to: Sequence[str] = ()) -> list[str]:
    """Return the lines that announce each route, to the peers named or to every peer with the route's family.

    Each prefix may be in one batch once: ExaBGP may send two changes of it in either order.
    """
    return _grouped("announce", routes, to)


def withdraw(routes: Mapping[Prefix, Attributes], to: Sequence[str] = ()) -> list[str]:
    """Return the lines that withdraw what was announced with these attributes."""
    return _grouped("withdraw", routes, to)


def end_of_rib(families: Mapping[str, Iterable[Family]]) -> list[str]:
    """Return the lines that end our routes in a family for peers (RFC 4724 §2), each given with its families.

    A line each for a few peers, whose answer shows that one is not up any more; one for each hundred of many.
    To be sent after every PeerUp, behind the answers to all announcements.
    """
    peers: dict[Family, list[str]] = {}
    for peer, spoken in families.items():
        for family in spoken:
            peers.setdefault(family, []).append(peer)
    return [
        f"{_selector(part)}announce eor {family} unicast"
        for family, told in peers.items()
        for part in _parts(told, _PEERS_PER_LINE if len(told) > _ANSWERED_EACH else 1)
    ]


def ask_for_routes(peer: str, families: Iterable[Family]) -> list[str]:
    """Return the line per family that asks a peer to send its routes again (RFC 2918)."""
    return [f"neighbor {peer} announce route-refresh {family} unicast" for family in families]


def _grouped(verb: str, routes: Mapping[Prefix, Attributes], to: Sequence[str]) -> list[str]:
    groups: dict[tuple[Attributes, int], list[str]] = {}
    for prefix, attributes in routes.items():
        groups.setdefault((attributes, prefix.bits), []).append(str(prefix))
    return [
        f"{_selector(to)}{verb} attributes {_attribute_text(attributes)} nlri {' '.join(part)}"
        for (attributes, _), prefixes in groups.items()
        for part in _parts(prefixes, _PREFIXES_PER_LINE)
    ]


def _selector(peers: Sequence[str]) -> str:
    """Return how a line begins that is for these peers; for none, it is for all."""
    return "".join(f"{', ' if i else ''}neighbor {peer} " for i, peer in enumerate(peers))


def _parts(prefixes: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (prefixes[start : start + size] for start in range(0, len(prefixes), size))


def _attribute_text(attributes: Attributes) -> str:
    """Return the attributes as ExaBGP's commands name them; the next hop always in full, never `self`.

    `self` on a session of the other family is an error, or the router id.
    """
    parts = [f"next-hop {unpack(attributes.next_hop)}", f"origin {attributes.origin or 'igp'}"]
    for name, value in (("local-preference", attributes.local_preference), ("med", attributes.med)):
        if value is not None:
            parts.append(f"{name} {value}")
    if attributes.originator_id is not None:
        parts.append(f"originator-id {unpack(attributes.originator_id)}")
    if attributes.aggregator is not None:
        parts.append(f"aggregator ( {attributes.aggregator} )")
    if attributes.atomic_aggregate:
        parts.append("atomic-aggregate")
    if attributes.as_path:
        parts.append(f"as-path {' '.join(map(_segment, attributes.as_path))}")
    for name, values in (
        ("community", [":".join(map(str, value)) for value in attributes.communities]),
        ("large-community", [":".join(map(str, value)) for value in attributes.large_communities]),
        ("extended-community", [f"0x{value:016x}" for value in attributes.extended_communities]),
        ("cluster-list", list(map(unpack, attributes.cluster_list))),
    ):
        if values:
            parts.append(f"{name} [ {' '.join(values)} ]")
    parts += [f"attribute [ 0x{code:02x} 0x{flags:02x} 0x{value.hex()} ]" for code, flags, value in attributes.unknown]
    return " ".join(parts)


def _segment(segment: AsPathSegment) -> str:
    numbers = " ".join(map(str, segment.numbers))
    return f"( {numbers} )" if segment.kind == "set" else f"[ {numbers} ]"
