"""Which UPDATEs are plain: they are handed on as they came, and the sidecar decodes them (bgp/update.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bgp.exabgp_launcher.path_attributes import (
    AS_PATH,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_LENGTH,
    FLAGS,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MED,
    NEXT_HOP,
    OF_INTERNAL_PEERS,
    ORIGIN,
    ORIGINATOR_ID,
    attribute_at,
    is_as_path,
)
from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement

PLAIN = {
    **dict.fromkeys((ORIGIN, AS_PATH), 1),
    **dict.fromkeys((NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES, ORIGINATOR_ID, CLUSTER_LIST), 4),
    LARGE_COMMUNITIES: 12,
}
"""The attributes that a plain UPDATE may have: by code how many bytes one value has."""
OF_ONE_VALUE = (ORIGIN, NEXT_HOP, MED, LOCAL_PREF, ORIGINATOR_ID)
LAST_ORIGIN = 2
JSON_PARAMETERS = ("self", "neighbor", "direction", "update", "negotiated", "header", "body")


def replacements() -> list[Replacement]:
    from exabgp.bgp.message.update import Update
    from exabgp.reactor.api.response.json import JSON

    return [
        ReplacedFunction(
            Update, "unpack_message", ("data", "direction", "negotiated"), keep_plain(Update.unpack_message)
        ),
        ReplacedFunction(JSON, "update", JSON_PARAMETERS, hand_on_plain(JSON.update)),
    ]


class PlainUpdate:
    """An UPDATE that is handed on as it came, in place of ExaBGP's own object."""

    ID = 2
    TYPE = bytes([ID])
    EOR = False
    nlris: tuple[()] = ()
    attributes: tuple[()] = ()

    def __init__(self, body: bytes) -> None:
        self.body = body


def keep_plain(released: Callable[..., Any]) -> Any:
    """Return Update.unpack_message that leaves it to the sidecar to decode what is plain.

    That takes ExaBGP and JSON most of the time that a flood of updates lasts. Everything else is decoded as released,
    so that ExaBGP answers what ends a session.
    """
    from exabgp.bgp.message.direction import Direction
    from exabgp.protocol.family import AFI, SAFI

    def unpack_message(cls: Any, data: bytes, direction: int, negotiated: Any) -> Any:
        may_be = (
            direction == Direction.IN and negotiated.asn4 and not negotiated.addpath.receive(AFI.ipv4, SAFI.unicast)
        )
        if may_be and is_plain(data, external=negotiated.local_as != negotiated.peer_as):
            return PlainUpdate(data)
        return released(data, direction, negotiated)

    return classmethod(unpack_message)


def hand_on_plain(released: Callable[..., str]) -> Callable[..., str]:
    """Return JSON.update that writes a plain UPDATE as `update PEER HEX`, its body in hexadecimal digits."""

    def update(encoder: Any, neighbor: Any, direction: str, update: Any, *more: Any) -> str:
        if isinstance(update, PlainUpdate):
            return f"update {neighbor['peer-address']} {update.body.hex()}"
        return released(encoder, neighbor, direction, update, *more)

    return update


def is_plain(data: bytes, *, external: bool) -> bool:
    """Whether an UPDATE has nothing but IPv4 networks, with attributes that are right and of the usual kinds.

    Both ends have four-octet AS numbers, and there is no path identifier (RFC 7911). An end-of-RIB is not plain.
    """
    withdrawn_end = 2 + int.from_bytes(data[:2])
    begin = withdrawn_end + 2
    end = begin + int.from_bytes(data[withdrawn_end:begin])
    if end > len(data) or not are_networks(data, 2, withdrawn_end) or not are_networks(data, end, len(data)):
        return False
    if end == len(data):  # nothing is announced
        return begin == end and withdrawn_end > 2
    return are_plain_attributes(data[begin:end], external=external)


def are_networks(data: bytes, position: int, end: int) -> bool:
    """Whether these bytes are IPv4 networks, each as its length and as many bytes as that takes (RFC 4271 §4.3)."""
    while position < end:
        length = data[position]
        if length > 32:
            return False
        position += 1 + (length + 7 >> 3)
    return position == end


def are_plain_attributes(data: bytes, *, external: bool) -> bool:
    """Whether path attributes are right, each there once, none of others than PLAIN, and the mandatory ones there."""
    seen, position = set[int](), 0
    while position < len(data):
        flags, code, begin, end = attribute_at(data, position)
        size = PLAIN.get(code)
        if size is None or end > len(data) or code in seen or (external and code in OF_INTERNAL_PEERS):
            return False
        if flags & ~EXTENDED_LENGTH != FLAGS[code] or (begin == end and code != AS_PATH) or (end - begin) % size:
            return False
        if code in OF_ONE_VALUE and end - begin != size:
            return False
        if code == ORIGIN and data[begin] > LAST_ORIGIN:
            return False
        if code == AS_PATH and not is_as_path(data[begin:end], 4, may_hold_zero=False):
            return False
        seen.add(code)
        position = end
    return seen.issuperset((ORIGIN, AS_PATH, NEXT_HOP))
