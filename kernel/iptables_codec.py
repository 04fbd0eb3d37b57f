"""A table of iptables-legacy as the values of net.packet_filter, from the structures that the kernel gives out.

Sans-IO. They are those of linux/netfilter_ipv4/ip_tables.h and linux/netfilter_ipv6/ip6_tables.h, on 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise

from msgspec import Struct

from kernel.xt_match import action_of, conditions_of
from net.packet_filter import Action, Chain, Condition, Field, Hook, Rule

TOOLS = {4: "iptables-legacy", 6: "ip6tables-legacy"}
PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
"""The tables that may drop packets, and where they stand among the others."""
NAT = "nat"
_NAT_PRIORITIES = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100}

INFO = struct.Struct("=32sI5I5III")  # name, hooks, entries, underflows, number of entries, size
ENTRIES_HEADER = 40  # struct ipt_get_entries: name, size, padding
_HOOKS = (Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING)
_CHAIN_NAMES = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_MATCH = struct.Struct("=H29sB")  # size, name, revision
_PORTLESS, _GOTO = 0x40, {4: 0x02, 6: 0x04}
_IN, _OUT, _SOURCE, _DESTINATION, _FRAGMENT, _PROTOCOL = 0x01, 0x02, 0x08, 0x10, 0x20, 0x40
_RETURN = -5


class TableInfo(Struct, frozen=True):
    """Where the built-in chains of a table begin and end, by hook; size: of all entries, in bytes."""

    starts: Mapping[Hook, int]
    underflows: Mapping[Hook, int]
    size: int


def decode_info(answer: bytes) -> TableInfo:
    _, hooks, *numbers, _, size = INFO.unpack(answer)
    valid = [index for index in range(5) if hooks & 1 << index]
    return TableInfo(
        {_HOOKS[index]: numbers[index] for index in valid}, {_HOOKS[index]: numbers[5 + index] for index in valid}, size
    )


class _Entry(Struct, frozen=True):
    """One rule with its place. verdict: of a standard target; None: the target has a name. head: a chain begins."""

    offset: int
    conditions: tuple[Condition, ...]
    goes: bool
    target: str
    verdict: int | None
    head: str = ""


def chains(version: int, table: str, info: TableInfo, entries: bytes) -> Iterator[Chain]:
    """Yield the chains of a table."""
    found = list(_entries(version, entries))
    begins = {offset: hook for hook, offset in info.starts.items()}
    names = {entry.offset: entry.head for entry in found if entry.head}
    current: list[_Entry] = []
    parts: list[tuple[Hook | None, str, list[_Entry]]] = []
    for entry in found:
        if entry.head == "ERROR":
            break  # the table's end
        if entry.head:
            parts.append((None, entry.head, current := []))
            continue
        if (hook := begins.get(entry.offset)) is not None:
            parts.append((hook, _CHAIN_NAMES[_HOOKS.index(hook)], current := []))
        current.append(entry)
    after_head = {following.offset: names[entry.offset] for entry, following in pairwise(found) if entry.head}
    for hook, name, members in parts:
        drops = hook is not None and any(one.offset == info.underflows[hook] and one.verdict == -1 for one in members)
        ends = info.underflows[hook] if hook is not None else -1
        rules = tuple(_rule(one, after_head, found) for one in members if one.offset != ends)
        yield Chain(TOOLS[version], table, name, rules, hook, _priority(table, hook), drops, (version,))


def _priority(table: str, hook: Hook | None) -> int:
    return _NAT_PRIORITIES.get(hook, 0) if table == NAT and hook else PRIORITIES.get(table, 0)


def _rule(entry: _Entry, names: Mapping[int, str], entries: list[_Entry]) -> Rule:
    match entry.verdict:
        case None:
            return Rule(entry.conditions, action_of(entry.target), entry.target)
        case -1:
            return Rule(entry.conditions, Action.DROP)
        case -2:
            return Rule(entry.conditions, Action.ACCEPT)
        case -5:
            return Rule(entry.conditions, Action.RETURN)
        case offset if offset < 0:
            return Rule(entry.conditions, Action.UNREAD, f"verdict {offset}")
        case offset if offset in names:
            return Rule(entry.conditions, Action.GOTO if entry.goes else Action.JUMP, names[offset])
    return Rule(entry.conditions, Action.CONTINUE)  # a rule without target falls through to the next


def _entries(version: int, blob: bytes) -> Iterator[_Entry]:
    sizes = struct.Struct("=HH")
    size_at, first = (88, 112) if version == 4 else (140, 168)
    offset = 0
    while offset + first <= len(blob):
        target_at, following = sizes.unpack_from(blob, offset + size_at)
        if not first <= target_at < following:
            return
        flags, conditions = _head(version, blob[offset : offset + first])
        found, at = list(conditions), offset + first
        while at < offset + target_at:
            size, name, revision = _MATCH.unpack_from(blob, at)
            if size < _MATCH.size:
                return
            found += conditions_of(_text(name), revision, blob[at + _MATCH.size : at + size])
            at += size
        _, name, _ = _MATCH.unpack_from(blob, at)
        target, data = _text(name), blob[at + _MATCH.size : offset + following]
        goes = bool(flags & _GOTO[version])
        if target == "ERROR":
            yield _Entry(offset, (), goes, target, None, head=_text(data[:30]) or "ERROR")
        else:
            verdict = None if target else struct.unpack_from("=i", data)[0]
            yield _Entry(offset, tuple(found), goes, target, verdict)
        offset += following


def _head(version: int, head: bytes) -> tuple[int, Iterator[Condition]]:
    """Return a rule's flags, and what it asks of addresses, devices and protocol."""
    bits = 4 if version == 4 else 16
    addresses = [head[index * bits : (index + 1) * bits] for index in range(4)]
    at = 4 * bits
    devices = [head[at + 16 * index : at + 16 * (index + 1)] for index in range(4)]
    at += 64
    protocol = struct.unpack_from("=H", head, at)[0]
    flags, inverted = head[at + 2 : at + 4] if version == 4 else head[at + 3 : at + 5]
    return flags, _conditions(addresses, devices, protocol, inverted)


def _conditions(addresses: list[bytes], devices: list[bytes], protocol: int, inverted: int) -> Iterator[Condition]:
    source, destination, source_mask, destination_mask = addresses
    by_address = (
        (Field.SOURCE, source, source_mask, _SOURCE),
        (Field.DESTINATION, destination, destination_mask, _DESTINATION),
    )
    for looked_at, address, mask, flag in by_address:
        if any(mask):
            yield Condition(
                looked_at, ((address, address),), bool(inverted & flag), b"" if all(b == 255 for b in mask) else mask
            )
    for looked_at, name, mask, flag in (
        (Field.IN_DEVICE, devices[0], devices[2], _IN),
        (Field.OUT_DEVICE, devices[1], devices[3], _OUT),
    ):
        if length := len(mask.rstrip(b"\0")):
            yield Condition(looked_at, ((name[:length], name[:length]),), bool(inverted & flag))
    if protocol:
        number = bytes([protocol & 0xFF])
        yield Condition(Field.PROTOCOL, ((number, number),), bool(inverted & _PROTOCOL))
    if inverted & _FRAGMENT:
        yield Condition(None, name="fragments")


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode(errors="replace")
