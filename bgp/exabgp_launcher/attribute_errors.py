"""What becomes of an UPDATE whose attributes are wrong (RFC 7606): they rarely end a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bgp.exabgp_launcher.path_attributes import (
    AS_PATH,
    FLAGS,
    MP_REACH,
    MP_UNREACH,
    NEXT_HOP,
    OF_INTERNAL_PEERS,
    OF_TWO_OCTET_PEERS,
    OPTIONAL,
    ORIGIN,
    PARTIAL,
    TRANSITIVE,
    attribute_at,
    is_as_path,
)
from bgp.exabgp_launcher.replacement import ReplacedFunction, ReplacedValue, Replacement

HOLD_PREFIXES = (MP_REACH, MP_UNREACH)
# Codes of the attributes that are treated in these ways as released.
AS_RELEASED_WITHDRAW = (1, 2, 3, 4, 5, 8, 16, 25, 32)
AS_RELEASED_DISCARD, AS_RELEASED_EMPTY = (6, 7, 29, 40), (6, 2, 40)
PARSE_PARAMETERS, UNPACK_PARAMETERS = ("self", "data", "direction", "negotiated"), ("data", "direction", "negotiated")


def replacements() -> list[Replacement]:
    from exabgp.bgp.message.update.attribute import MPRNLRI, MPURNLRI, Attributes

    return [
        *sorted_as_rfc_7606(),
        ReplacedFunction(Attributes, "parse", PARSE_PARAMETERS, parse_as_rfc_7606(Attributes.parse)),
        ReplacedFunction(MPRNLRI, "unpack", UNPACK_PARAMETERS, ignore_other_families(MPRNLRI.unpack)),
        ReplacedFunction(MPURNLRI, "unpack", UNPACK_PARAMETERS, ignore_other_families(MPURNLRI.unpack)),
    ]


def sorted_as_rfc_7606() -> list[Replacement]:
    """Have no attribute that is wrong in itself end a session, but those that hold prefixes (RFC 7606 §3).

    As released ORIGINATOR_ID, CLUSTER_LIST, AS4_PATH, AS4_AGGREGATOR and others do.
    """
    from exabgp.bgp.message.update.attribute import Attribute, Attributes

    code = Attribute.CODE
    withdraw = {*Attributes.TREAT_AS_WITHDRAW, code.ORIGINATOR_ID, code.CLUSTER_LIST, code.PMSI_TUNNEL}
    discard = {*Attribute.attributes_known} - withdraw - {code.MP_REACH_NLRI, code.MP_UNREACH_NLRI}
    # Of these an empty one is wrong like any other of a wrong length: it is discarded.
    may_be_empty = {*Attributes.VALID_ZERO, *discard}
    return [
        ReplacedValue(Attributes, "TREAT_AS_WITHDRAW", AS_RELEASED_WITHDRAW, tuple(sorted(withdraw))),
        ReplacedValue(Attributes, "DISCARD", AS_RELEASED_DISCARD, tuple(sorted(discard))),
        ReplacedValue(Attributes, "VALID_ZERO", AS_RELEASED_EMPTY, tuple(sorted(may_be_empty))),
    ]


def parse_as_rfc_7606(released: Callable[..., Any]) -> Callable[..., Any]:
    """Return Attributes.parse that takes the attributes an UPDATE received has, as `sorted_out` leaves them."""
    from exabgp.bgp.message.direction import Direction
    from exabgp.bgp.message.update.attribute.attributes import TreatAsWithdraw

    def parse(attributes: Any, data: bytes, direction: int, negotiated: Any) -> Any:
        if direction != Direction.IN or negotiated is None:
            return released(attributes, data, direction, negotiated)
        external = negotiated.local_as != negotiated.peer_as
        kept, wrong = sorted_out(data, external=external, four_octets=negotiated.asn4)
        parsed = released(attributes, kept, direction, negotiated)
        if wrong is not None:
            parsed.add(TreatAsWithdraw(wrong))
        return parsed

    return parse


def sorted_out(data: bytes, *, external: bool, four_octets: bool) -> tuple[bytes, int | None]:
    """Return path attributes without those that do not count, and the code of one that withdraws all announcements.

    What does not count: a second one of a kind (RFC 7606 §3 g), what only internal peers may send (§7.5, 7.9, 7.10),
    and what only peers with two-octet AS numbers may (RFC 6793 §4.1). Announcements without AS_PATH are withdrawn too
    (§3 d). An attribute that is longer than the rest is ExaBGP's to judge.

    external: whether the peer is of another AS. four_octets: whether both ends have four-octet AS numbers.
    """
    kept, seen, wrong, position = bytearray(), set[int](), None, 0
    ignored = {*(OF_INTERNAL_PEERS if external else ()), *(OF_TWO_OCTET_PEERS if four_octets else ())}
    while position < len(data):
        flags, code, begin, end = attribute_at(data, position)
        if end > len(data):
            kept += data[position:]
            break
        if code not in ignored and (code not in seen or code in HOLD_PREFIXES):
            if wrong is None and is_wrong(flags, code, data[begin:end], 4 if four_octets else 2):
                wrong = code
            kept.append(flags & ~PARTIAL if FLAGS.get(code) == TRANSITIVE else flags)
            kept += data[position + 1 : end]
        seen.add(code)
        position = end
    if wrong is None and AS_PATH not in seen and seen & {NEXT_HOP, MP_REACH}:
        wrong = AS_PATH
    return bytes(kept), wrong


def is_wrong(flags: int, code: int, value: bytes, asn_bytes: int) -> bool:
    """Whether an attribute withdraws announcements for what ExaBGP as released takes.

    For its flags (RFC 7606 §3 c), as an unknown well-known attribute, an ORIGIN of another length (§7.1), or an AS_PATH
    (§7.2).
    """
    if code in HOLD_PREFIXES:
        return False
    if (flags ^ FLAGS.get(code, flags | OPTIONAL)) & (OPTIONAL | TRANSITIVE):
        return True
    return (code == ORIGIN and len(value) != 1) or (code == AS_PATH and not is_as_path(value, asn_bytes))


def ignore_other_families(released: Callable[..., Any]) -> Any:
    """Return the unpack of MP_REACH_NLRI or MP_UNREACH_NLRI that passes over a family that was not negotiated.

    As released it ends the session, and with it the families that were.
    """

    def unpack(cls: Any, data: bytes, direction: int, negotiated: Any) -> Any:
        from exabgp.protocol.family import AFI, SAFI

        family = int.from_bytes(data[:2]), data[2] if len(data) > 2 else 0
        if negotiated and len(data) > 2 and family not in negotiated.families:
            return cls(AFI.create(family[0]), SAFI.create(family[1]), [])
        return released(data, direction, negotiated)

    return classmethod(unpack)
