"""ExaBGP's output: bytes in, lines out; a line of JSON in, an event out.

Sans-IO: the pipes belong to bgp/exabgp_process.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from bgp.events import (
    AnnouncedPath,
    EndOfRib,
    GracefulRestart,
    PeerConnected,
    PeerDown,
    PeerOpen,
    PeerUp,
    RouteRefresh,
    SpeakerEvent,
    UpdateReceived,
    WithdrawnPath,
)
from bgp.speaker import AsPathSegment, Attributes, UnknownAttribute
from net.family import FAMILIES, Family
from net.prefix import Prefix, pack

# AS4_PATH and AS4_AGGREGATOR, which a speaker of four-octet AS numbers discards (RFC 6793 §4.1). Where no AS_PATH
# stands beside it, ExaBGP writes the first, and not in hex.
_OF_TWO_OCTET_SPEAKERS = (17, 18)
_WITHDRAWN = "treat-as-withdraw"  # how the error begins for which ExaBGP has made announcements withdrawals
_SEGMENT_KINDS: Mapping[str, Literal["sequence", "set"]] = {"as-sequence": "sequence", "as-set": "set"}


class LineBuffer:
    """Bytes from ExaBGP's pipe in, whole lines out. It reads no pipe and knows no clock."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines


def answer(line: bytes) -> bool | None:
    """Return ExaBGP's answer to a command, True for `done`; None if the line is no answer.

    Answers carry no reference to their command: they are counted.
    """
    return {b"done": True, b"error": False}.get(line)


def event(line: bytes) -> SpeakerEvent | None:
    """Return what one JSON line of ExaBGP 5 reports of a peer; None for lines of no interest here.

    Raises ValueError: the line is not JSON, or an address in it is not one.
    """
    match json.loads(line):
        case {"type": "state", "neighbor": {"address": {"peer": str(peer)}, "state": state, **more}}:
            return _state(peer, state, str(more.get("reason", "")))
        case {"type": "open", "neighbor": {"address": {"peer": str(peer)}, "direction": "receive", "open": sent}}:
            return _open(peer, sent)
        case {"type": "update", "neighbor": {"address": {"peer": str(peer)}, "message": {"eor": ended}}}:
            family = next((each for each in FAMILIES if (each, "unicast") == (ended["afi"], ended["safi"])), None)
            return EndOfRib(peer, family) if family is not None else None
        case {"type": "update", "neighbor": {"address": {"peer": str(peer)}, "message": {"update": update}}}:
            return _update(peer, update)
        case {"type": "refresh", "neighbor": {"address": {"peer": str(peer)}, "route-refresh": asked}}:
            return RouteRefresh(peer, asked["afi"], asked["subtype"])
    return None


def _state(peer: str, state: str, reason: str) -> SpeakerEvent | None:
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
        refresh="2" in capabilities,
    )


def _restart(capability: Mapping[str, Any]) -> GracefulRestart:
    # ExaBGP's names are swapped: "forwarding" among the restart flags is the Restart State
    # bit, "restart" in a family's list is that family's Forwarding State bit.
    flags = capability.get("address-family-flags", {})
    return GracefulRestart(
        seconds=capability["time"],
        restarting="forwarding" in capability.get("restart-flags", ()),
        families=tuple((family, "restart" in flags[f"{family}/unicast"]) for family in _families(flags)),
    )


def _families(names: Iterable[str]) -> tuple[Family, ...]:
    """Return the unicast families among `names`, written `ipv4/unicast`, in a fixed order."""
    present = set(names)
    return tuple(family for family in FAMILIES if f"{family}/unicast" in present)


def _update(peer: str, update: Mapping[str, Any]) -> UpdateReceived:
    """Attributes that cannot be read make the announcements withdrawals (RFC 7606 §2), as ExaBGP's own check does."""
    written, announce = update.get("attribute", {}), update.get("announce", {})
    withdrawn = tuple(
        WithdrawnPath(Prefix.of(route["nlri"]), _path_id(route))
        for family in FAMILIES
        for route in update.get("withdraw", {}).get(f"{family} unicast", ())
    )
    error = written.get("error")
    if error is not None and not error.startswith(_WITHDRAWN):
        error = None  # an attribute was discarded, and the announcements count
    try:
        announced = tuple(_announced(announce, written))
    except (ValueError, LookupError, TypeError, AttributeError):
        announced, error = (), "unreadable attributes"
        withdrawn += tuple(
            WithdrawnPath(Prefix.of(route["nlri"]), _path_id(route))
            for family in FAMILIES
            for routes in announce.get(f"{family} unicast", {}).values()
            for route in routes
        )
    return UpdateReceived(peer, announced, withdrawn, error)


def _announced(announce: Mapping[str, Any], written: Mapping[str, Any]) -> Iterator[AnnouncedPath]:
    for family in FAMILIES:
        by_next_hop = announce.get(f"{family} unicast", {})
        for next_hop in _next_hops(by_next_hop):
            attributes = _shared(_attributes(next_hop, written))
            for route in by_next_hop[next_hop]:
                yield AnnouncedPath(Prefix.of(route["nlri"]), _path_id(route), attributes)


def _next_hops(written: Collection[str]) -> list[str]:
    """Return the next hops of one UPDATE without the link-local address that may come with a global one.

    An IPv6 next hop may be both (RFC 2545 §3), as BIRD and FRR send it; ExaBGP reports the routes once with each. A
    router without a global address on the link sends `::` in its place.
    """
    named = [each for each in written if each != "::"] or list(written)
    return [each for each in named if not each.lower().startswith("fe80:")] or named


def _path_id(route: Mapping[str, str]) -> int:
    return int.from_bytes(pack(route["path-information"])) if "path-information" in route else 0


def _attributes(next_hop: str, written: Mapping[str, Any]) -> Attributes:
    return Attributes(
        next_hop=b"" if next_hop == "no-nexthop" else pack(next_hop),
        local_preference=written.get("local-preference"),
        origin=written.get("origin"),
        as_path=tuple(map(_segment, written.get("as-path", {}).values())),
        med=written.get("med"),
        communities=tuple((high, low) for high, low in written.get("community", ())),
        large_communities=tuple((a, b, c) for a, b, c in written.get("large-community", ())),
        extended_communities=tuple(each["value"] for each in written.get("extended-community", ())),
        originator_id=pack(written["originator-id"]) if "originator-id" in written else None,
        cluster_list=tuple(map(pack, written.get("cluster-list", ()))),
        atomic_aggregate="atomic-aggregate" in written,
        aggregator=_aggregator(written.get("aggregator")),
        unknown=tuple(
            UnknownAttribute(*_code_and_flags(name), bytes.fromhex(value.removeprefix("0x")))
            for name, value in written.items()
            if name.startswith("attribute-0x") and _code_and_flags(name)[0] not in _OF_TWO_OCTET_SPEAKERS
        ),
    )


def _segment(written: Mapping[str, Any]) -> AsPathSegment:
    """Raises ValueError: it has AS 0 in it, which makes the whole AS_PATH malformed (RFC 7607 §2)."""
    numbers = tuple(written["value"])
    if 0 in numbers:
        raise ValueError(f"AS_PATH segment {numbers}")
    return AsPathSegment(_SEGMENT_KINDS[written["element"]], numbers)


def _aggregator(written: str | None) -> str | None:
    """Return the aggregator, without one of AS 0, which does not count (RFC 7607 §2)."""
    return None if written is None or written.startswith("0:") else written


def _code_and_flags(name: str) -> tuple[int, int]:
    _, code, flags = name.split("-")
    return int(code, 16), int(flags, 16)


@lru_cache(maxsize=4096)
def _shared(attributes: Attributes) -> Attributes:
    """Return the first object equal to this one: a table of many routes has few attributes."""
    return attributes
