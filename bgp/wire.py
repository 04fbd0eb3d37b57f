"""ExaBGP's lines: bytes in, events out; announcements in, command lines out.

Sans-IO: the pipes are bgp/process.py's. ExaBGP decides nothing and checks little, so that every event is what
the peer said; what we make of it is the import policy's and RIB-in's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from bgp.speaker import Attributes, Family, Segment, Unknown
from net.prefix import Prefix, pack, unpack


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A TCP connection to or from this peer stands; BGP has not begun, and may never."""

    peer: str


@dataclass(frozen=True, slots=True)
class PeerUp:
    peer: str


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The session, or an attempt at it, is over. No withdrawals follow: its routes are ours to keep or not."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The graceful-restart capability of an OPEN (RFC 4724 §3).

    `restarting` is the Restart State bit; `families` says of each whether its forwarding state was kept.
    """

    seconds: int
    restarting: bool
    families: tuple[tuple[Family, bool], ...]


@dataclass(frozen=True, slots=True)
class PeerOpen:
    """The peer's OPEN. It comes before the `PeerUp` of the same session.

    `add_path` lists the families in which the peer is willing to send several paths.
    """

    peer: str
    router_id: bytes
    asn: int
    hold_time: int
    families: tuple[Family, ...]
    add_path: tuple[Family, ...] = ()
    restart: Restart | None = None


class Announced(NamedTuple):
    """One prefix of an UPDATE; `path_id` is 0 without add-path. The attributes hold the next hop."""

    prefix: Prefix
    path_id: int
    attributes: Attributes


class Withdrawn(NamedTuple):
    prefix: Prefix
    path_id: int


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE. Withdrawals count first: a message may hold both (RFC 4271 §3.1).

    `error` says that ExaBGP found the attributes malformed and made the announcements withdrawals (RFC 7606).
    """

    peer: str
    announced: tuple[Announced, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EndOfRib:
    peer: str
    family: Family


@dataclass(frozen=True, slots=True)
class Refresh:
    """The peer asks for our routes again (`query`), or marks `begin` and `end` of its own (RFC 7313)."""

    peer: str
    family: Family
    subtype: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """An ExaBGP process runs, the first or a later one: no session yet, and none of our announcements."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """ExaBGP ended: every session is gone, without a `PeerDown` each. `reason` is a sentence.

    `final`: it would end so again before the configuration or the node changes; it is tried rarely.
    """

    reason: str
    final: bool = False


Event: TypeAlias = PeerConnected | PeerUp | PeerDown | PeerOpen | Update | EndOfRib | Refresh | Restarted | Stopped


class LineBuffer:
    """Bytes from ExaBGP's pipe in, whole lines out. It reads no pipe and knows no clock."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines


def answer(line: bytes) -> bool | None:
    """Return ExaBGP's verdict on a command, True for `done`; None if the line is no answer.

    Answers carry no reference to their command: they are counted.
    """
    return {b"done": True, b"error": False}.get(line)


def event(line: bytes) -> Event | None:
    """Return what one JSON line of ExaBGP 5 says about a peer; None for lines that say nothing to us.

    Raises ValueError: the line is not JSON, or an address in it is not one.
    """
    match json.loads(line):
        case {"type": "state", "neighbor": {"address": {"peer": str(peer)}, "state": state, **more}}:
            return _state(peer, state, str(more.get("reason", "")))
        case {"type": "open", "neighbor": {"address": {"peer": str(peer)}, "direction": "receive", "open": sent}}:
            return _open(peer, sent)
        case {"type": "update", "neighbor": {"address": {"peer": str(peer)}, "message": {"eor": ended}}}:
            return EndOfRib(peer, ended["afi"])
        case {"type": "update", "neighbor": {"address": {"peer": str(peer)}, "message": {"update": update}}}:
            return _update(peer, update)
        case {"type": "refresh", "neighbor": {"address": {"peer": str(peer)}, "route-refresh": asked}}:
            return Refresh(peer, asked["afi"], asked["subtype"])
    return None


def announce(routes: Mapping[Prefix, Attributes], to: Sequence[str] = ()) -> list[str]:
    """Return the lines that announce each route, to the peers named or to every peer with the route's family.

    Each prefix may be in one batch once: ExaBGP may send two changes of it in either order.
    """
    return _grouped("announce", routes, to)


def withdraw(routes: Mapping[Prefix, Attributes], to: Sequence[str] = ()) -> list[str]:
    """Return the lines that withdraw what was announced with these attributes."""
    return _grouped("withdraw", routes, to)


def end_of_rib(peer: str, families: Iterable[Family]) -> list[str]:
    """Return the lines that tell one peer, per family, that it has all our routes.

    To be sent after every PeerUp, behind the answers to all announcements.
    """
    return [f"neighbor {peer} announce eor {family} unicast" for family in families]


_FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")
_PREFIXES_PER_LINE = 100  # a longer line gains nothing, and is one answer for all that is on it


def _state(peer: str, state: str, reason: str) -> Event | None:
    match state:
        case "connected":
            return PeerConnected(peer)
        case "up":
            return PeerUp(peer)
        case "down":
            return PeerDown(peer, reason)
    return None


def _open(peer: str, sent: Mapping[str, Any]) -> PeerOpen:
    capabilities = sent["capabilities"]
    asn = capabilities.get("65", {}).get("asn4", sent["asn"])
    return PeerOpen(
        peer,
        router_id=pack(sent["router_id"]),
        asn=asn,
        hold_time=sent["hold_time"],
        families=_families(capabilities.get("1", {}).get("families", ["ipv4/unicast"])),
        add_path=_families(
            family for family, ways in capabilities.get("69", {}).items() if "send" in str(ways).split("/")
        ),
        restart=_restart(capabilities["64"]) if "64" in capabilities else None,
    )


def _restart(capability: Mapping[str, Any]) -> Restart:
    # ExaBGP's words are swapped against common sense: "forwarding" among the restart flags is the Restart State
    # bit, "restart" in a family's list is that family's Forwarding State bit.
    flags = capability.get("address-family-flags", {})
    return Restart(
        seconds=capability["time"],
        restarting="forwarding" in capability.get("restart-flags", ()),
        families=tuple((family, "restart" in flags[f"{family}/unicast"]) for family in _families(flags)),
    )


def _families(names: Iterable[str]) -> tuple[Family, ...]:
    """Return the unicast families among `names`, written `ipv4/unicast`, in a fixed order."""
    present = set(names)
    return tuple(family for family in _FAMILIES if f"{family}/unicast" in present)


def _update(peer: str, update: Mapping[str, Any]) -> Update:
    said = update.get("attribute", {})
    return Update(
        peer,
        announced=tuple(_announced(update.get("announce", {}), said)),
        withdrawn=tuple(
            Withdrawn(Prefix.of(route["nlri"]), _path_id(route))
            for family in _FAMILIES
            for route in update.get("withdraw", {}).get(f"{family} unicast", ())
        ),
        error=said.get("error"),
    )


def _announced(announce: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[Announced]:
    for family in _FAMILIES:
        by_next_hop = announce.get(f"{family} unicast", {})
        for next_hop in _next_hops(by_next_hop):
            attributes = _shared(_attributes(next_hop, said))
            for route in by_next_hop[next_hop]:
                yield Announced(Prefix.of(route["nlri"]), _path_id(route), attributes)


def _next_hops(written: Collection[str]) -> list[str]:
    """Return the next hops of one UPDATE without the link-local address that may stand beside a global one.

    An IPv6 next hop may be both (RFC 2545 §3), as BIRD and FRR send it; ExaBGP tells the routes once with each.
    """
    return [each for each in written if not each.lower().startswith("fe80:")] or list(written)


def _path_id(route: Mapping[str, str]) -> int:
    return int.from_bytes(pack(route["path-information"])) if "path-information" in route else 0


def _attributes(next_hop: str, said: Mapping[str, Any]) -> Attributes:
    return Attributes(
        next_hop=b"" if next_hop == "no-nexthop" else pack(next_hop),
        local_preference=said.get("local-preference"),
        origin=said.get("origin"),
        as_path=tuple(
            Segment("set" if segment["element"] == "as-set" else "sequence", tuple(segment["value"]))
            for segment in said.get("as-path", {}).values()
        ),
        med=said.get("med"),
        communities=tuple((high, low) for high, low in said.get("community", ())),
        large_communities=tuple((a, b, c) for a, b, c in said.get("large-community", ())),
        extended_communities=tuple(each["value"] for each in said.get("extended-community", ())),
        originator_id=pack(said["originator-id"]) if "originator-id" in said else None,
        cluster_list=tuple(map(pack, said.get("cluster-list", ()))),
        atomic_aggregate="atomic-aggregate" in said,
        aggregator=said.get("aggregator"),
        unknown=tuple(
            Unknown(*_code_and_flags(name), bytes.fromhex(value.removeprefix("0x")))
            for name, value in said.items()
            if name.startswith("attribute-0x")
        ),
    )


def _code_and_flags(name: str) -> tuple[int, int]:
    _, code, flags = name.split("-")
    return int(code, 16), int(flags, 16)


@lru_cache(maxsize=4096)
def _shared(attributes: Attributes) -> Attributes:
    """Return the first object equal to this one: a table of many routes has few attributes."""
    return attributes


def _grouped(verb: str, routes: Mapping[Prefix, Attributes], to: Sequence[str]) -> list[str]:
    groups: dict[tuple[Attributes, int], list[str]] = {}
    for prefix, attributes in routes.items():
        groups.setdefault((attributes, prefix.bits), []).append(str(prefix))
    selector = "".join(f"{', ' if i else ''}neighbor {peer} " for i, peer in enumerate(to))
    return [
        f"{selector}{verb} attributes {_words(attributes)} nlri {' '.join(part)}"
        for (attributes, _), prefixes in groups.items()
        for part in _parts(prefixes, _PREFIXES_PER_LINE)
    ]


def _parts(prefixes: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (prefixes[start : start + size] for start in range(0, len(prefixes), size))


def _words(attributes: Attributes) -> str:
    """Return the attributes as ExaBGP's commands name them; the next hop always in full, never `self`.

    `self` on a session of the other family is an error, or the router id.
    """
    words = [f"next-hop {unpack(attributes.next_hop)}", f"origin {attributes.origin or 'igp'}"]
    for name, value in (("local-preference", attributes.local_preference), ("med", attributes.med)):
        if value is not None:
            words.append(f"{name} {value}")
    if attributes.originator_id is not None:
        words.append(f"originator-id {unpack(attributes.originator_id)}")
    if attributes.aggregator is not None:
        words.append(f"aggregator ( {attributes.aggregator} )")
    if attributes.atomic_aggregate:
        words.append("atomic-aggregate")
    if attributes.as_path:
        words.append(f"as-path {' '.join(map(_segment, attributes.as_path))}")
    for name, values in (
        ("community", [":".join(map(str, value)) for value in attributes.communities]),
        ("large-community", [":".join(map(str, value)) for value in attributes.large_communities]),
        ("extended-community", [f"0x{value:016x}" for value in attributes.extended_communities]),
        ("cluster-list", list(map(unpack, attributes.cluster_list))),
    ):
        if values:
            words.append(f"{name} [ {' '.join(values)} ]")
    words += [f"attribute [ 0x{code:02x} 0x{flags:02x} 0x{value.hex()} ]" for code, flags, value in attributes.unknown]
    return " ".join(words)


def _segment(segment: Segment) -> str:
    numbers = " ".join(map(str, segment.numbers))
    return f"( {numbers} )" if segment.kind == "set" else f"[ {numbers} ]"
