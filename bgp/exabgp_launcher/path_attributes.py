"""Path attributes on the wire (RFC 4271 §4.3): where each begins and ends, its flags, and what an AS_PATH must be.

Sans-IO.
"""

from __future__ import annotations

# The bits of their flags, and by code which of the first two each has.
OPTIONAL, TRANSITIVE, PARTIAL, EXTENDED_LENGTH = 0x80, 0x40, 0x20, 0x10
ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES, ORIGINATOR_ID, CLUSTER_LIST = 1, 2, 3, 4, 5, 8, 9, 10
MP_REACH, MP_UNREACH, LARGE_COMMUNITIES = 14, 15, 32
FLAGS = {
    **dict.fromkeys((ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, 6), TRANSITIVE),
    **dict.fromkeys((MED, ORIGINATOR_ID, CLUSTER_LIST, MP_REACH, MP_UNREACH), OPTIONAL),
    **dict.fromkeys((7, COMMUNITIES, 16, 17, 18, 25, LARGE_COMMUNITIES), OPTIONAL | TRANSITIVE),
}
OF_INTERNAL_PEERS, OF_TWO_OCTET_PEERS = (LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST), (17, 18)
SEGMENT_KINDS = (1, 2)  # AS_SET and AS_SEQUENCE; those of confederations come from none of our peers (RFC 5065 §5)


def attribute_at(data: bytes, position: int) -> tuple[int, int, int, int]:
    """Return flags, code, begin and end of the attribute at a position; one that is cut ends behind the data."""
    flags = data[position]
    size = 4 if flags & EXTENDED_LENGTH else 3
    begin = position + size
    if begin > len(data):
        return flags, 0, begin, begin
    return flags, data[position + 1], begin, begin + int.from_bytes(data[position + 2 : begin])


def is_as_path(value: bytes, asn_bytes: int, *, may_hold_zero: bool = True) -> bool:
    """Whether this is a sequence of whole segments of known kinds, none of them empty.

    may_hold_zero: whether AS 0 may be in it, which no speaker that knows RFC 7607 sends (§2).
    """
    position, zero = 0, bytes(asn_bytes)
    while position < len(value):
        if position + 2 > len(value) or value[position] not in SEGMENT_KINDS or not value[position + 1]:
            return False
        begin, position = position + 2, position + 2 + value[position + 1] * asn_bytes
        if not may_hold_zero and any(value[at : at + asn_bytes] == zero for at in range(begin, position, asn_bytes)):
            return False
    return position == len(value)
