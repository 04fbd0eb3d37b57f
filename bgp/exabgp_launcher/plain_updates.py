"""Which UPDATEs are plain: they are handed on as they came, and the sidecar decodes them (bgp/update.py).

Sans-IO.
"""

from __future__ import annotations

from typing import NamedTuple

from bgp.exabgp_launcher.path_attributes import (
    AS_PATH,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_LENGTH,
    FLAGS,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MED,
    MP_REACH,
    MP_UNREACH,
    NEXT_HOP,
    OF_INTERNAL_PEERS,
    ORIGIN,
    ORIGINATOR_ID,
    attribute_at,
    is_as_path,
)
from bgp.exabgp_launcher.usual_updates import LOCAL_PREF as PREFERENCE
from bgp.exabgp_launcher.usual_updates import usual

PLAIN = {
    **dict.fromkeys((ORIGIN, AS_PATH, MP_REACH, MP_UNREACH), 1),
    **dict.fromkeys((NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES, ORIGINATOR_ID, CLUSTER_LIST), 4),
    LARGE_COMMUNITIES: 12,
}
"""The attributes that a plain UPDATE may have: by code how many bytes one value has."""
OF_ONE_VALUE = (ORIGIN, NEXT_HOP, MED, LOCAL_PREF, ORIGINATOR_ID)
LAST_ORIGIN = 2
IPV6_UNICAST = b"\0\2\1"  # AFI and SAFI (RFC 4760 §3)
NEXT_HOP_AT = 4  # in MP_REACH_NLRI, behind the family and the length of the next hop
LINK_LOCAL = b"\xfe\x80"


class Session(NamedTuple):
    """What was negotiated that decides how an UPDATE is read.

    external: whether the peer is of another AS. ipv6: whether IPv6 unicast is exchanged. path_ids: of which families
    the prefixes come with path identifiers (RFC 7911), `ipv4` and `ipv6`.
    """

    external: bool
    ipv6: bool
    path_ids: tuple[str, ...] = ()


def is_plain(data: bytes, session: Session) -> bool:
    """Whether an UPDATE has nothing but IPv4 and IPv6 networks, with attributes that are right and of the usual kinds.

    Both ends have four-octet AS numbers. An end-of-RIB is not plain.
    """
    return is_usual(data, session) or is_right(data, session)


def is_usual(data: bytes, session: Session) -> bool:
    """Whether an UPDATE is plain as most are: `is_right` of it too, which takes ten times as long."""
    found = usual(data)
    return (
        found is not None
        and not (session.external and found[PREFERENCE] is not None)
        and "ipv4" not in session.path_ids
    )


def is_right(data: bytes, session: Session) -> bool:
    """Whether an UPDATE is plain, by a look at each of its parts."""
    withdrawn_end = 2 + int.from_bytes(data[:2])
    begin = withdrawn_end + 2
    end = begin + int.from_bytes(data[withdrawn_end:begin])
    path_ids = "ipv4" in session.path_ids
    if end > len(data) or not are_networks(data, 2, withdrawn_end, 32, path_ids=path_ids):
        return False
    if not are_networks(data, end, len(data), 32, path_ids=path_ids):
        return False
    codes = plain_attributes(data[begin:end], session)
    if codes is None:
        return False
    announces = end < len(data)
    if announces and NEXT_HOP not in codes:
        return False
    if codes & {NEXT_HOP, MP_REACH} and not codes.issuperset((ORIGIN, AS_PATH)):
        return False
    return announces or withdrawn_end > 2 or bool(codes & {MP_REACH, MP_UNREACH})


def are_networks(data: bytes, position: int, end: int, longest: int, *, path_ids: bool) -> bool:
    """Whether these bytes are networks, each as its length and as many bytes as that takes (RFC 4271 §4.3).

    longest: how many bits an address has. path_ids: whether four bytes stand before each (RFC 7911 §3).
    """
    before = 4 if path_ids else 0
    while position < end:
        position += before
        if position >= end:
            return False
        length = data[position]
        if length > longest:
            return False
        position += 1 + (length + 7 >> 3)
    return position == end


def plain_attributes(data: bytes, session: Session) -> set[int] | None:
    """Return the codes of path attributes that are right, each there once, and none of others than PLAIN; else None."""
    seen, position = set[int](), 0
    while position < len(data):
        flags, code, begin, end = attribute_at(data, position)
        size = PLAIN.get(code)
        if size is None or end > len(data) or code in seen or (session.external and code in OF_INTERNAL_PEERS):
            return None
        if flags & ~EXTENDED_LENGTH != FLAGS[code] or (begin == end and code != AS_PATH) or (end - begin) % size:
            return None
        if code in OF_ONE_VALUE and end - begin != size:
            return None
        if code == ORIGIN and data[begin] > LAST_ORIGIN:
            return None
        if code == AS_PATH and not is_as_path(data[begin:end], 4, may_hold_zero=False):
            return None
        if code in (MP_REACH, MP_UNREACH) and not holds_ipv6(code, data[begin:end], session):
            return None
        seen.add(code)
        position = end
    return seen


def holds_ipv6(code: int, value: bytes, session: Session) -> bool:
    """Whether MP_REACH_NLRI or MP_UNREACH_NLRI has IPv6 networks and nothing unusual (RFC 4760 §3, 4; RFC 2545 §3).

    The next hop is one address, or a link-local one stands behind another.
    """
    if not session.ipv6 or value[:3] != IPV6_UNICAST:
        return False
    begin = 3
    if code == MP_REACH:
        begin = NEXT_HOP_AT + (value[3] if len(value) > 3 else 0) + 1
        next_hops = value[NEXT_HOP_AT : begin - 1]
        if len(next_hops) not in (16, 32):
            return False
        if len(next_hops) == 32 and (next_hops[:2] == LINK_LOCAL or next_hops[16:18] != LINK_LOCAL):
            return False
    return begin < len(value) and are_networks(value, begin, len(value), 128, path_ids="ipv6" in session.path_ids)
