"""Rules of ours at the end of another program's chain, as values, and the messages that put them there.

Sans-IO. They are there while the chain drops what no rule of it accepts, and only then: an explicit rule of the chain
is obeyed, its policy is answered. They are known by their comment, also after iptables saved and restored them;
nothing else of the chain is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kernel.message import CREATE, Message, attribute, attributes, text
from kernel.nftables_codec import ChainHead
from kernel.nftables_table import (
    APPEND,
    DELETE_CHAIN,
    DELETE_RULE,
    DELETE_TABLE,
    NEW_CHAIN,
    NEW_RULE,
    NEW_TABLE,
    HeldRule,
    Program,
    Request,
    held_rule,
    is_rule,
    rule_body,
)

MARK = "felix-py: "
"""How the comments of rules of ours begin."""

_GENERIC_BYTES = 4
_CHAIN_IN = {NEW_TABLE: 0, DELETE_TABLE: 0, NEW_CHAIN: 3, DELETE_CHAIN: 3, NEW_RULE: 2, DELETE_RULE: 2}
"""The attribute that names the chain, by kind of event; 0 = the event is about all chains of a table."""
_COMMENT = 0


class ForeignChain(NamedTuple):
    """Where a chain of another program is. family: as netlink numbers it."""

    family: int
    table: str
    name: str


class MarkedRule(NamedTuple):
    """A rule of ours that the kernel holds. handle: as it travels."""

    handle: bytes
    comment: str
    rule: HeldRule


def changes(
    chain: ForeignChain, wanted: Sequence[Program], head: ChainHead, held: Sequence[MarkedRule]
) -> list[Request]:
    """Return the requests that make our rules in a chain as wanted, or, while it does not drop, take them away.

    held: all of ours that are in it. There are no requests if they are as they should be.
    """
    due = wanted if head.drops else ()
    if len(due) == len(held) and all(map(_is_marked, due, held)):
        return []
    where = text(1, chain.table) + text(2, chain.name)
    removed = [Request(DELETE_RULE, 0, where + attribute(3, one.handle)) for one in held]
    return removed + [Request(NEW_RULE, CREATE | APPEND, where + rule_body(program)) for program in due]


def _is_marked(wanted: Program, held: MarkedRule) -> bool:
    return wanted.comment == held.comment and is_rule(wanted, held.rule)


def marked_rules(bodies: Iterable[bytes]) -> list[MarkedRule]:
    """Return the rules of ours among those of a chain, from the messages of a dump."""
    found = []
    for body in bodies:
        parts = dict(attributes(body, _GENERIC_BYTES))
        rule = held_rule(body)[2]
        comment = _comment(parts.get(7, b"")) or _comment_of_iptables(rule)
        if comment.startswith(MARK):
            found.append(MarkedRule(parts.get(3, b""), comment, rule))
    return found


def _comment(data: bytes) -> str:
    """Return the comment among what programs note of a rule: type, length and value, one after the other."""
    while len(data) >= 2:
        kind, value, data = data[0], data[2 : 2 + data[1]], data[2 + data[1] :]
        if kind == _COMMENT:
            return value.rstrip(b"\0").decode(errors="replace")
    return ""


def _comment_of_iptables(rule: HeldRule) -> str:
    """Return the comment of a rule that iptables wrote: it is one of the rule's steps there."""
    comments = (step.get(3, b"") for name, step in rule if name == "match" and step.get(1) == b"comment\0")
    return next(comments, b"").partition(b"\0")[0].decode(errors="replace")


def is_about(event: Message, chains: Iterable[ForeignChain]) -> bool:
    """Return whether an event may have changed what one of these chains does, or our rules in it."""
    if event.kind not in _CHAIN_IN or not event.body:
        return False
    parts, names_chain = dict(attributes(event.body, _GENERIC_BYTES)), _CHAIN_IN[event.kind]
    return any(
        event.body[0] == chain.family
        and parts.get(1) == chain.table.encode() + b"\0"
        and (not names_chain or parts.get(names_chain) == chain.name.encode() + b"\0")
        for chain in chains
    )
