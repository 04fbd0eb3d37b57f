"""The rules that choose a routing table (`ip rule`), as values and from rtnetlink's messages.

Sans-IO. Numbers are those of linux/fib_rules.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from msgspec import Struct

from kernel.message import attributes
from net.prefix import Prefix

GET_RULE = 34
LOCAL_TABLE, MAIN_TABLE, DEFAULT_TABLE = 255, 254, 253

_RULE = struct.Struct("=BBBBBBBBI")  # family, destination length, source length, tos, table, two unused, action, flags
_INVERTED = 0x2
_TO_TABLE = 1
_ACTIONS = {2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_TABLES = {LOCAL_TABLE: "local", MAIN_TABLE: "main", DEFAULT_TABLE: "default"}
_FAMILIES = {4: 2, 16: 10}
_IN_DEVICE, _OUT_DEVICE = 3, 17
_OTHER_SELECTORS = {10: "fwmark", 12: "tun_id", 19: "l3mdev", 22: "ipproto", 23: "sport", 24: "dport", 20: "uidrange"}


class PolicyRule(Struct, frozen=True):
    """source, destination None: any. device: by which packets come in, "" = any. others: selectors that are not read.

    table: 0 where the action is not to look into one.
    """

    priority: int
    source: Prefix | None
    destination: Prefix | None
    device: str
    others: tuple[str, ...]
    table: int
    action: str
    inverted: bool = False

    def selects(self, source: bytes, destination: bytes, device: str) -> bool:
        """Return whether it takes such a packet without a mark, as far as that is known."""
        if self.others:
            return False
        same = (
            (self.source is None or self.source.contains(Prefix.host(source)))
            and (self.destination is None or self.destination.contains(Prefix.host(destination)))
            and self.device in ("", device)
        )
        return same is not self.inverted

    def __str__(self) -> str:
        """Return it as `ip rule` lists it."""
        parts = [f"{self.priority}:", "not" if self.inverted else "", f"from {self.source or 'all'}"]
        parts += [f"to {self.destination}" if self.destination else "", f"iif {self.device}" if self.device else ""]
        parts += self.others
        parts.append(f"lookup {_TABLES.get(self.table, self.table)}" if self.table else self.action)
        return " ".join(filter(None, parts))


def dump_request(size: int) -> bytes:
    """Return the body that asks for the rules of one family. size: bytes of an address."""
    return _RULE.pack(_FAMILIES[size], 0, 0, 0, 0, 0, 0, 0, 0)


def decode_rule(body: bytes) -> PolicyRule:
    family, destination_length, source_length, _, table, _, _, action, flags = _RULE.unpack_from(body)
    found = dict(attributes(body, _RULE.size))
    size = 4 if family == _FAMILIES[4] else 16

    def network(kind: int, length: int) -> Prefix | None:
        return Prefix(found[kind].ljust(size, b"\0"), length) if kind in found else None

    others = [name for kind, name in _OTHER_SELECTORS.items() if kind in found]
    others += ["oif"] if _OUT_DEVICE in found else []
    return PolicyRule(
        int.from_bytes(found.get(6, b""), "little"),
        network(2, source_length),
        network(1, destination_length),
        found.get(_IN_DEVICE, b"").rstrip(b"\0").decode(errors="replace"),
        tuple(others),
        int.from_bytes(found[15], "little") if 15 in found and action == _TO_TABLE else table * (action == _TO_TABLE),
        _ACTIONS.get(action, str(action)) if action != _TO_TABLE else "",
        bool(flags & _INVERTED),
    )


def deciding(
    rules: Iterable[PolicyRule], source: bytes, destination: bytes, device: str, table: int
) -> PolicyRule | None:
    """Return the rule by which a packet was looked up in a table, or, with table 0, the one that ended its way.

    None where it is not known, or is one that every system has.
    """
    for rule in sorted(rules, key=lambda one: one.priority):
        if rule.selects(source, destination, device) and (rule.table == table if table else not rule.table):
            return None if table in _TABLES else rule
    return None
