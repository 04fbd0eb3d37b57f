"""A table of nftables that is wholly one program's, as a value, and the messages of the transaction that makes it so.

Sans-IO. Numbers are those of linux/netfilter/nf_tables.h; they travel with the most significant byte first. A table is
of family inet: one for both IP versions. What it holds is compared with what is wanted, so that a change costs its own
size and one that is right is not written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from kernel.message import ACK, CREATE, attribute, attributes, message, nested, text
from kernel.nftables_codec import ChainHead, Elements
from net.packet_filter import Hook

INET = 1
_SUBSYSTEM = 10
(
    NEW_TABLE, GET_TABLE, DELETE_TABLE, NEW_CHAIN, GET_CHAIN, DELETE_CHAIN, NEW_RULE, GET_RULE, DELETE_RULE,
    NEW_SET, GET_SET, _, NEW_ELEMENTS, GET_ELEMENTS, DELETE_ELEMENTS,
) = (_SUBSYSTEM << 8 | number for number in range(15))  # fmt: skip
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
APPEND = 0x800
_GENERIC = struct.Struct(">BBH")  # family, version, resource
_ACCEPT = 1
_INTERVALS, _INTERVAL_END = 4, 1
_TYPES = {4: 7, 16: 8}  # how nft names the key of a set: ipv4_addr, ipv6_addr
_HOOKS = {Hook.PREROUTING: 0, Hook.INPUT: 1, Hook.FORWARD: 2, Hook.OUTPUT: 3, Hook.POSTROUTING: 4}
_ELEMENTS_AT_ONCE = 1000  # an attribute holds 64 KiB

Range = tuple[bytes, bytes]
"""The first and the last address of an element of a set."""


class Expression(NamedTuple):
    """One step of a rule's program. attributes: by number, as they travel."""

    name: str
    attributes: tuple[tuple[int, bytes], ...] = ()


class Program(NamedTuple):
    """A rule. comment: what it is for, which `nft list ruleset` shows."""

    expressions: tuple[Expression, ...]
    comment: str


class AddressSet(Struct, frozen=True):
    """A set of addresses of one family. intervals: elements are networks, not single addresses."""

    name: str
    size: int
    elements: frozenset[Range]
    intervals: bool = True


class AttachedChain(Struct, frozen=True):
    """A chain that sees packets at a hook, and lets them pass unless a rule says otherwise. kind: filter or nat."""

    name: str
    kind: str
    hook: Hook
    priority: int
    programs: tuple[Program, ...]


class OwnTable(Struct, frozen=True):
    """All that a table holds."""

    sets: tuple[AddressSet, ...] = ()
    chains: tuple[AttachedChain, ...] = ()


class HeldSet(NamedTuple):
    size: int
    intervals: bool
    elements: frozenset[Range]


HeldExpression = tuple[str, Mapping[int, bytes]]
HeldRule = Sequence[HeldExpression]


class HeldTable(Struct, frozen=True):
    """What the kernel holds of a table: its chains, their rules, and its sets, by name. flags: 0 = it is in force."""

    flags: int = 0
    chains: Mapping[str, ChainHead] = field(default_factory=dict)
    rules: Mapping[str, Sequence[HeldRule]] = field(default_factory=dict)
    sets: Mapping[str, HeldSet] = field(default_factory=dict)


class Request(NamedTuple):
    kind: int
    flags: int
    body: bytes


def changes(name: str, wanted: OwnTable | None, held: HeldTable | None) -> list[Request]:
    """Return the requests of one transaction that makes a table as wanted; none if it is. None = no table.

    Where only elements of sets differ, only these are changed; else the whole table takes the place of what is there.
    """
    if wanted is None:
        return removal(name) if held is not None else []
    if held is None or not _same_shape(wanted, held):
        return list(_anew(name, wanted))
    found: list[Request] = []
    for one in wanted.sets:
        there = held.sets[one.name].elements
        found += _elements(DELETE_ELEMENTS, name, one, there - one.elements)
        found += _elements(NEW_ELEMENTS, name, one, one.elements - there)
    return found


def as_held(name: str, table: OwnTable | None) -> HeldTable | None:
    """Return what the kernel holds once a table is written."""
    if table is None:
        return None
    return HeldTable(
        0,
        {
            one.name: ChainHead(INET, name, one.name, one.hook, one.priority, drops=False, kind=one.kind)
            for one in table.chains
        },
        {
            one.name: [[(step.name, dict(step.attributes)) for step in program.expressions] for program in one.programs]
            for one in table.chains
        },
        {one.name: HeldSet(one.size, one.intervals, one.elements) for one in table.sets},
    )


def removal(name: str) -> list[Request]:
    """Return the requests that remove a table, whatever it holds, and if it has just gone."""
    return [Request(NEW_TABLE, CREATE, text(1, name)), Request(DELETE_TABLE, 0, text(1, name))]


def transaction(requests: Sequence[Request], first: int, family: int = INET) -> bytes:
    """Return the messages of one transaction, numbered from `first`: two more than there are requests.

    Each is acknowledged. All of them take effect at once, or none.
    """
    batch = _GENERIC.pack(0, 0, _SUBSYSTEM)
    generic = _GENERIC.pack(family, 0, 0)
    parts = [message(_BATCH_BEGIN, 0, first, batch)]
    for number, one in enumerate(requests, first + 1):
        parts.append(message(one.kind, one.flags | ACK, number, generic + one.body))
    parts.append(message(_BATCH_END, 0, first + 1 + len(requests), batch))
    return b"".join(parts)


def _same_shape(wanted: OwnTable, held: HeldTable) -> bool:
    """Whether a table differs from what is wanted in elements of sets at most."""
    if (
        held.flags
        or held.sets.keys() != {one.name for one in wanted.sets}
        or held.chains.keys() != {c.name for c in wanted.chains}
    ):
        return False
    sets = all(
        (held.sets[one.name].size, held.sets[one.name].intervals) == (one.size, one.intervals) for one in wanted.sets
    )
    return sets and all(_is_chain(one, held.chains[one.name], held.rules.get(one.name, ())) for one in wanted.chains)


def _is_chain(wanted: AttachedChain, held: ChainHead, rules: Sequence[HeldRule]) -> bool:
    head = held.kind, held.hook, held.priority, held.drops
    return (
        head == (wanted.kind, wanted.hook, wanted.priority, False)
        and len(rules) == len(wanted.programs)
        and all(map(is_rule, wanted.programs, rules))
    )


def is_rule(wanted: Program, held: HeldRule) -> bool:
    """Whether the kernel's rule is the wanted one. It shows defaults and counters beside what was written."""
    return len(wanted.expressions) == len(held) and all(
        one.name == name and all(found.get(kind) == value for kind, value in one.attributes)
        for one, (name, found) in zip(wanted.expressions, held, strict=True)
    )


def _anew(of: str, table: OwnTable) -> Iterator[Request]:
    yield from removal(of)
    name = text(1, of)
    yield Request(NEW_TABLE, CREATE, name)
    for number, one in enumerate(table.sets, 1):
        head = name + text(2, one.name) + _number(3, _INTERVALS if one.intervals else 0)
        yield Request(NEW_SET, CREATE, head + _number(4, _TYPES[one.size]) + _number(5, one.size) + _number(10, number))
        yield from _elements(NEW_ELEMENTS, of, one, one.elements)
    for chain in table.chains:
        hook = nested(4, _number(1, _HOOKS[chain.hook]), attribute(2, struct.pack(">i", chain.priority)))
        yield Request(NEW_CHAIN, CREATE, name + text(3, chain.name) + hook + _number(5, _ACCEPT) + text(7, chain.kind))
        for program in chain.programs:
            yield Request(NEW_RULE, CREATE | APPEND, name + text(2, chain.name) + rule_body(program))


def _elements(kind: int, table: str, of: AddressSet, ranges: Iterable[Range]) -> Iterator[Request]:
    ordered = sorted(ranges)
    for start in range(0, len(ordered), _ELEMENTS_AT_ONCE):
        parts = (part for one in ordered[start : start + _ELEMENTS_AT_ONCE] for part in _element(one, of.intervals))
        body = text(1, table) + text(2, of.name) + nested(3, *(nested(1, part) for part in parts))
        yield Request(kind, CREATE if kind == NEW_ELEMENTS else 0, body)


def _element(bounds: Range, intervals: bool) -> Iterator[bytes]:
    """Yield the key of an element; of an interval also the first key behind it, unless there is none."""
    first, last = bounds
    yield nested(1, attribute(1, first))
    if intervals and last != b"\xff" * len(last):
        behind = (int.from_bytes(last) + 1).to_bytes(len(last))
        yield nested(1, attribute(1, behind)) + _number(3, _INTERVAL_END)


def rule_body(program: Program) -> bytes:
    """Return what of a rule's message is its own: its program and its comment."""
    comment = program.comment.encode() + b"\0"
    expressions = (
        nested(1, text(1, name), nested(2, *(attribute(kind, value) for kind, value in found)))
        for name, found in program.expressions
    )
    return nested(4, *expressions) + attribute(7, bytes((0, len(comment))) + comment)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, be(value))


def be(value: int) -> bytes:
    return struct.pack(">I", value)


# What the kernel holds


def held_rule(body: bytes) -> tuple[str, str, HeldRule]:
    """Return the table, the chain and the expressions in a rule's message."""
    found = dict(attributes(body, _GENERIC.size))
    expressions = []
    for kind, element in attributes(found.get(4, b"")):
        if kind == 1:
            part = dict(attributes(element))
            expressions.append((_text(part.get(1, b"")), dict(attributes(part.get(2, b"")))))
    return _text(found.get(1, b"")), _text(found.get(2, b"")), expressions


def held_set(body: bytes, elements: Elements = ()) -> tuple[str, str, HeldSet]:
    """Return the table and the name in a set's message, and the set with these elements."""
    found = dict(attributes(body, _GENERIC.size))
    size, flags = (int.from_bytes(found.get(kind, b"")) for kind in (5, 3))
    ranges = frozenset((first, last) for first, last, _ in elements)
    return _text(found.get(1, b"")), _text(found.get(2, b"")), HeldSet(size, bool(flags & _INTERVALS), ranges)


def held_flags(body: bytes) -> int:
    """Return the flags in a table's message."""
    return int.from_bytes(dict(attributes(body, _GENERIC.size)).get(2, b""))


def table_of(body: bytes) -> str:
    """Return the table that any message is about, "" if it is about none of family inet."""
    if not body or body[0] != INET:
        return ""
    return _text(dict(attributes(body, _GENERIC.size)).get(1, b""))


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
