"""Chains, rules and sets of nftables as the values of net.packet_filter, from netlink's messages.

Sans-IO. Numbers are those of linux/netfilter/nf_tables.h. A rule is a small program over registers; what a register
holds is followed by name, so that each comparison becomes a condition on a field of the packet. What is not known here
becomes a condition, or an action, that is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from kernel.message import attributes, text
from kernel.xt_match import action_of, conditions_of
from net.packet_filter import NFT, Action, Chain, Condition, Field, Hook, Rule, device_name

NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8
GET_CHAIN, GET_RULE, GET_SET_ELEMENTS = (_SUBSYSTEM | number for number in (4, 7, 13))

_GENERIC = struct.Struct("=BBH")  # family, version, resource
_FAMILIES = {1: ("inet", (4, 6)), 2: ("ip", (4,)), 5: ("netdev", (4, 6)), 10: ("ip6", (6,))}
_VERSIONS = {2: 4, 10: 6}
_HOOKS = (Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING, Hook.INGRESS)
_DEVICE_HOOKS = (Hook.INGRESS, Hook.EGRESS)
_NETDEV = 5
_ETHERTYPES = {0x0800: 4, 0x86DD: 6}
_DROP = 0
_DNAT = 1  # NFT_NAT_DNAT
_INTERVAL_END, _INVERTED = 1, 1
_EQUAL, _NOT_EQUAL, _LESS, _AT_MOST, _MORE, _AT_LEAST = range(6)

Elements = Sequence[tuple[bytes, bytes, tuple[Action, str] | None]]
"""The first and the last key of each element of a set, and its verdict, where the set maps to verdicts."""
ReadSet = Callable[[str], Elements]
"""Return the elements of a table's set, by its name."""


def family_name(family: int) -> str:
    """Return what nft calls a family of tables, by netlink's number."""
    return _FAMILIES[family][0]


def request(family: int = 0, **names: str) -> bytes:
    """Return the body of a question: about a family, a table, one chain or set of it, or the rules of a chain."""
    kinds = {"table": 1, "chain": 2, "set_name": 2, "chain_name": 3}
    return _GENERIC.pack(family, 0, 0) + b"".join(text(kinds[key], name) for key, name in names.items())


class ChainHead(Struct, frozen=True):
    """A chain without its rules. family: as netlink numbers it. kind: filter, nat or route. devices: of its hook."""

    family: int
    table: str
    name: str
    hook: Hook | None
    priority: int
    drops: bool
    kind: str
    devices: tuple[str, ...] = ()

    def with_rules(self, rules: Iterable[Rule]) -> Chain:
        family, versions = _FAMILIES[self.family]
        return Chain(
            NFT,
            f"{family} {self.table}",
            self.name,
            tuple(rules),
            self.hook,
            self.priority,
            self.drops,
            versions,
            self.devices,
        )


def decode_chain(body: bytes) -> ChainHead | None:
    """Return the chain in a message; None if it sees no IP packets that are routed."""
    family, found = body[0], dict(attributes(body, _GENERIC.size))
    if family not in _FAMILIES:
        return None
    hook, priority = None, 0
    devices: tuple[str, ...] = ()
    if 4 in found:
        attached = dict(attributes(found[4]))
        number, priority = _number(attached.get(1, b"")), struct.unpack(">i", attached.get(2, bytes(4)))[0]
        hooks = _DEVICE_HOOKS if family == _NETDEV else _HOOKS
        if number >= len(hooks):
            return None  # no kernel has it by now
        hook, devices = hooks[number], _hook_devices(attached)
    drops = 5 in found and _number(found[5]) == _DROP
    table, name, kind = (_text(found.get(key, b"")) for key in (1, 3, 7))
    return ChainHead(family, table, name, hook, priority, drops, kind, devices)


def _hook_devices(attached: Mapping[int, bytes]) -> tuple[str, ...]:
    """Return the devices whose packets come to a chain: one alone is named twice, of several some only begin so."""
    several = sorted(_text(name) + ("*" if kind == 2 else "") for kind, name in attributes(attached.get(4, b"")))
    return tuple(several) or ((_text(attached[3]),) if 3 in attached else ())


def decode_rule(body: bytes, devices: Mapping[int, str], read_set: ReadSet) -> Iterator[Rule]:
    """Yield the rules that one rule of nftables amounts to: a verdict map is one for each element."""
    found = dict(attributes(body, _GENERIC.size))
    run = _Program(body[0], devices, read_set)
    for kind, element in attributes(found.get(4, b"")):
        if kind == 1:
            part = dict(attributes(element))
            yield from run.step(_text(part.get(1, b"")), dict(attributes(part.get(2, b""))))


def decode_elements(bodies: Iterable[bytes]) -> Elements:
    """Return the elements of a set from the messages of a dump. Keys of intervals come with an end of their own."""
    raw = []
    for body in bodies:
        found = dict(attributes(body, _GENERIC.size))
        for _, element in attributes(found.get(3, b"")):
            part = dict(attributes(element))
            key = dict(attributes(part.get(1, b""))).get(1, b"")
            last = dict(attributes(part.get(10, b""))).get(1)
            ends = bool(_number(part.get(3, bytes(4))) & _INTERVAL_END)
            raw.append((key, ends, last, _verdict(dict(attributes(part.get(2, b""))).get(2))))
    if not any(ends for _, ends, _, _ in raw):
        return [(key, last or key, verdict) for key, _, last, verdict in raw]
    intervals, opened = [], None
    for key, ends, _, verdict in sorted(raw, key=lambda one: (one[0], not one[1])):
        if not ends:
            opened = key, verdict
        elif opened is not None:
            intervals.append((opened[0], _before(key), opened[1]))
            opened = None
    if opened is not None:
        intervals.append((opened[0], b"\xff" * len(opened[0]), opened[1]))
    return intervals


class _Held(Struct, frozen=True):
    """What a register holds: a field of the packet, or, with field None, something that is not read."""

    field: Field | None = None
    name: str = ""
    mask: bytes = b""
    size: int = 16
    by_index: bool = False


class _Program:
    """One rule as it runs: its registers, and the conditions so far."""

    def __init__(self, family: int, devices: Mapping[int, str], read_set: ReadSet) -> None:
        self._family, self._devices, self._read_set = family, devices, read_set
        self._registers: dict[int, _Held] = {}
        self._conditions: list[Condition] = []

    def step(self, name: str, part: Mapping[int, bytes]) -> Iterator[Rule]:
        """Take one expression; yield the rules that are complete with it."""
        match name:
            case "payload" if 1 in part:
                self._hold(part[1], _payload(self._version(), *(_number(part.get(key, bytes(4))) for key in (2, 3, 4))))
            case "meta" if 1 in part:
                self._hold(part[1], _meta(_number(part[2])))
            case "ct" if 1 in part:
                key = _number(part[2])
                known = {0: Field.STATE, 2: Field.STATUS}.get(key)
                self._hold(part[1], _Held(known, size=4) if known else _Held(name=f"ct key {key}"))
            case "bitwise":
                self._mask(part)
            case "cmp":
                self._compare(self._held(part[1]), _number(part[2]), _value(part[3]))
            case "range":
                bounds = (_value(part[3]), _value(part[4]))
                self._ask(self._held(part[1]), (bounds,), _number(part[2]) == _NOT_EQUAL)
            case "lookup":
                yield from self._look_up(part)
            case "immediate":
                if (verdict := _verdict(dict(attributes(part[2])).get(2))) is not None:
                    yield Rule(tuple(self._conditions), *verdict)
            case "match":
                info = part.get(3, b"")
                self._conditions += conditions_of(_text(part[1]), _number(part.get(2, bytes(4))), info)
            case "target":
                target = _text(part[1])
                yield Rule(tuple(self._conditions), action_of(target), target)
            case "reject":
                yield Rule(tuple(self._conditions), Action.REJECT)
            case "nat":
                target = "dnat" if _number(part.get(1, bytes(4))) == _DNAT else "snat"
                yield Rule(tuple(self._conditions), Action.ACCEPT, target)
            case "masq" | "redir":
                yield Rule(tuple(self._conditions), Action.ACCEPT, name)
            case "queue" | "tproxy" | "synproxy" | "fwd":
                yield Rule(tuple(self._conditions), Action.UNREAD, name)
            case "limit" | "quota" | "connlimit" | "last" | "dynset":
                self._conditions.append(Condition(None, name=name))
            case "counter" | "log" | "notrack" | "dup" | "objref" | "payload" | "meta" | "ct" | "flow_offload":
                pass  # they change or count something, and go on
            case _:
                for key in (1, 2):
                    if key in part:
                        self._hold(part[key], _Held(name=name))

    def _version(self) -> int:
        """Return the IP version of the packets that the rule is about by now; 0 = either."""
        if self._family in _VERSIONS:
            return _VERSIONS[self._family]
        kinds = {Field.FAMILY: _VERSIONS, Field.ETHERTYPE: _ETHERTYPES}
        asked = (
            kinds[one.field].get(int.from_bytes(one.ranges[0][0], "big"), 0)
            for one in self._conditions
            if one.field in kinds and one.ranges and not one.inverted
        )
        return next(asked, 0)

    def _hold(self, register: bytes, held: _Held) -> None:
        self._registers[_offset(register)] = held

    def _held(self, register: bytes) -> _Held:
        return self._registers.get(_offset(register), _Held(name="a register"))

    def _mask(self, part: Mapping[int, bytes]) -> None:
        held = self._held(part[1])
        mask, changes = _value(part.get(4, b"")), _value(part.get(5, b"")).strip(b"\0")
        plain = bool(mask) and not changes and not held.mask and held.field is not None
        self._hold(part[2], _Held(held.field, held.name, mask, held.size) if plain else _Held(name="bitwise"))

    def _compare(self, held: _Held, operator: int, value: bytes) -> None:
        low, high = bytes(len(value)), b"\xff" * len(value)
        if operator in (_LESS, _AT_LEAST):
            bounds, inverted = (value, high), operator == _LESS
        elif operator in (_AT_MOST, _MORE):
            bounds, inverted = (low, value), operator == _MORE
        else:
            bounds, inverted = (value, value), operator == _NOT_EQUAL
        self._ask(held, (bounds,), inverted)

    def _ask(self, held: _Held, ranges: Iterable[tuple[bytes, bytes]], inverted: bool) -> None:
        self._conditions.append(self._condition(held, ranges, inverted))

    def _condition(self, held: _Held, ranges: Iterable[tuple[bytes, bytes]], inverted: bool) -> Condition:
        if held.by_index:
            ranges = [self._device(*bounds) for bounds in ranges]
        ranges = tuple(ranges)
        if held.field is None or any(len(first) > held.size for first, _ in ranges):
            return Condition(None, name=held.name or "a concatenation")
        if held.field in (Field.SOURCE, Field.DESTINATION) and not held.mask and held.size not in (4, 16):
            return _of_leading_bytes(held.field, held.size, ranges, inverted, 16 if self._version() == 6 else 4)
        return Condition(held.field, ranges, inverted, held.mask)

    def _device(self, first: bytes, last: bytes) -> tuple[bytes, bytes]:
        name = device_name(self._devices.get(int.from_bytes(first, "little"), "?")) or b"?"
        return name, name

    def _look_up(self, part: Mapping[int, bytes]) -> Iterator[Rule]:
        held, elements = self._held(part[2]), self._read_set(_text(part[1]))
        inverted = bool(_number(part.get(5, bytes(4))) & _INVERTED)
        if 3 not in part:
            self._ask(held, sorted((first, last) for first, last, _ in elements), inverted)
        elif _offset(part[3]) == _VERDICT:
            for first, last, verdict in elements:
                if verdict is not None:
                    yield Rule((*self._conditions, self._condition(held, [(first, last)], False)), *verdict)
        else:
            self._hold(part[3], _Held(name="a map"))


def _of_leading_bytes(
    looked_at: Field, size: int, ranges: Iterable[tuple[bytes, bytes]], inverted: bool, whole: int
) -> Condition:
    """Return the condition on a network that ends at a byte: only the bytes before are loaded for it."""
    padded = tuple((first.ljust(whole, b"\0"), last.ljust(whole, b"\0")) for first, last in ranges)
    return Condition(looked_at, padded, inverted, (b"\xff" * size).ljust(whole, b"\0"))


_VERDICT = -1


def _offset(register: bytes) -> int:
    """Return where a register lies, by its number: 1 to 4 are of 16 bytes, 8 and up of 4 in the same place."""
    number = _number(register)
    return _VERDICT if number == 0 else 16 * (number - 1) if number < 8 else 4 * (number - 8)


def _payload(version: int, base: int, offset: int, length: int) -> _Held:
    """Return what lies there. version: of IP; 0 = either, as in a table for both."""
    if base == 2:
        ports = {(0, 2): Field.SOURCE_PORT, (2, 2): Field.DESTINATION_PORT}
        found = ports.get((offset, length))
        return _Held(found, size=2) if found else _Held(name=f"transport header, byte {offset}")
    if base == 1 and version != 6:
        if offset in (12, 16) and length <= 4:
            return _Held(Field.SOURCE if offset == 12 else Field.DESTINATION, size=length)
        if (offset, length) == (9, 1):
            return _Held(Field.PROTOCOL, size=1)
    if base == 1 and version == 6 and offset in (8, 24) and length <= 16:
        return _Held(Field.SOURCE if offset == 8 else Field.DESTINATION, size=length)
    if base == 0:
        return (
            _Held(Field.ETHERTYPE, size=2) if (offset, length) == (12, 2) else _Held(name=f"link header, byte {offset}")
        )
    return _Held(name=f"network header, byte {offset}")


def _meta(key: int) -> _Held:
    match key:
        case 1:
            return _Held(Field.ETHERTYPE, size=2)
        case 3:
            return _Held(Field.MARK, size=4)
        case 4 | 5:
            return _Held(Field.IN_DEVICE if key == 4 else Field.OUT_DEVICE, by_index=True)
        case 6 | 7:
            return _Held(Field.IN_DEVICE if key == 6 else Field.OUT_DEVICE)
        case 15:
            return _Held(Field.FAMILY, size=1)
        case 16:
            return _Held(Field.PROTOCOL, size=1)
    return _Held(name=f"meta key {key}")


def _verdict(nested: bytes | None) -> tuple[Action, str] | None:
    if nested is None:
        return None
    found = dict(attributes(nested))
    code = struct.unpack(">i", found.get(1, bytes(4)))[0]
    chain = _text(found.get(2, b""))
    match code:
        case 0:
            return Action.DROP, ""
        case 1:
            return Action.ACCEPT, ""
        case -1 | -2:
            return Action.CONTINUE, ""
        case -3:
            return Action.JUMP, chain
        case -4:
            return Action.GOTO, chain
        case -5:
            return Action.RETURN, ""
    return Action.UNREAD, f"verdict {code & 0xFF}"


def _before(key: bytes) -> bytes:
    return (int.from_bytes(key, "big") - 1).to_bytes(len(key), "big")


def _value(nested: bytes) -> bytes:
    return dict(attributes(nested)).get(1, b"")


def _number(payload: bytes) -> int:
    return int.from_bytes(payload, "big")


def _text(payload: bytes) -> str:
    return payload.rstrip(b"\0").decode(errors="replace")
