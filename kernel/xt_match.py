"""Matches and targets of iptables (x_tables), as iptables-legacy and iptables-nft both have them, as conditions.

Sans-IO. The structures are those of linux/netfilter/xt_*.h. A match that is not known here is one that is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from net.packet_filter import Action, Condition, Field

_CONNTRACK_SIZE, _CONNTRACK_STATE = 156, 0x1
_BEFORE_CONNTRACK_FLAGS = 146  # of xt_conntrack_mtinfo2 and 3
_SOURCE_INVERTED, _DESTINATION_INVERTED = 0x1, 0x2

_GO_ON = (
    "AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DSCP HL HMARK IDLETIMER LED LOG MARK NFLOG NOTRACK RATEEST SECMARK"
    " SET TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL ULOG"
)
_CONTINUE = frozenset(_GO_ON.split())
_ACCEPT = frozenset({"DNAT", "MASQUERADE", "NETMAP", "REDIRECT", "SNAT"})


def action_of(target: str) -> Action:
    """Return what a target that is no verdict does with the packet."""
    if target == "REJECT":
        return Action.REJECT
    return Action.CONTINUE if target in _CONTINUE else Action.ACCEPT if target in _ACCEPT else Action.UNREAD


def conditions_of(name: str, revision: int, info: bytes) -> tuple[Condition, ...]:
    """Return what a match asks for. info: its structure, perhaps padded."""
    decode = _DECODERS.get(name)
    try:
        found = decode(revision, info) if decode else None
    except struct.error:
        found = None
    return (Condition(None, name=f"-m {name}"),) if found is None else found


def port_condition(looked_at: Field, first: int, last: int, inverted: bool = False) -> tuple[Condition, ...]:
    """Return the condition that a port lies between two; none if all do."""
    if (first, last, inverted) == (0, 0xFFFF, False):
        return ()
    return (Condition(looked_at, ((first.to_bytes(2, "big"), last.to_bytes(2, "big")),), inverted),)


def state_condition(bits: int, inverted: bool = False) -> Condition:
    """Return the condition that a connection's state is one of these bits."""
    return Condition(Field.STATE, ((bytes(4), bytes(4)),), not inverted, bits.to_bytes(4, "little"))


def _comment(revision: int, info: bytes) -> tuple[Condition, ...] | None:
    return ()


def _conntrack(revision: int, info: bytes) -> tuple[Condition, ...] | None:
    if revision < 2 or len(info) < _CONNTRACK_SIZE - 2:
        return None
    flags, inverted, states = struct.unpack_from("=HHH", info, _BEFORE_CONNTRACK_FLAGS)
    return (state_condition(states, bool(inverted & _CONNTRACK_STATE)),) if flags == _CONNTRACK_STATE else None


def _state(revision: int, info: bytes) -> tuple[Condition, ...] | None:
    return (state_condition(*struct.unpack_from("=I", info)),)


def _mark(revision: int, info: bytes) -> tuple[Condition, ...] | None:
    if revision < 1:
        return None
    mark, mask, inverted = struct.unpack_from("=IIB", info)
    wanted = mark.to_bytes(4, "little")
    return (Condition(Field.MARK, ((wanted, wanted),), bool(inverted), mask.to_bytes(4, "little")),)


def _tcp(revision: int, info: bytes) -> tuple[Condition, ...] | None:
    *ports, option, flags, _, inverted = struct.unpack_from("=HHHHBBBB", info)
    found = _both_ports(ports, inverted)
    return (*found, Condition(None, name="TCP flags or options")) if option or flags else found


def _udp(revision: int, info: bytes) -> tuple[Condition, ...] | None:
    *ports, inverted = struct.unpack_from("=HHHHB", info)
    return _both_ports(ports, inverted)


def _both_ports(ports: list[int], inverted: int) -> tuple[Condition, ...]:
    source_first, source_last, first, last = ports
    return (
        *port_condition(Field.SOURCE_PORT, source_first, source_last, bool(inverted & _SOURCE_INVERTED)),
        *port_condition(Field.DESTINATION_PORT, first, last, bool(inverted & _DESTINATION_INVERTED)),
    )


def _multiport(revision: int, info: bytes) -> tuple[Condition, ...] | None:
    kind, count = struct.unpack_from("=BB", info)
    ports = struct.unpack_from("=15H", info, 2)[:count]
    opens_range, (inverted,) = struct.unpack_from("=15B", info, 32), struct.unpack_from("=B", info, 47)
    if revision != 1 or kind > 1:
        return None
    ranges, at = [], 0
    while at < len(ports):
        last = at + 1 if opens_range[at] and at + 1 < len(ports) else at
        ranges.append((ports[at].to_bytes(2, "big"), ports[last].to_bytes(2, "big")))
        at = last + 1
    return (Condition(Field.DESTINATION_PORT if kind else Field.SOURCE_PORT, tuple(ranges), bool(inverted)),)


_DECODERS: Mapping[str, Callable[[int, bytes], tuple[Condition, ...] | None]] = {
    "comment": _comment,
    "conntrack": _conntrack,
    "state": _state,
    "mark": _mark,
    "tcp": _tcp,
    "udp": _udp,
    "multiport": _multiport,
}
