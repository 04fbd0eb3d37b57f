"""What is written to have our rules in another program's chain."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kernel.message import Message, attribute, text
from kernel.nftables_codec import ChainHead
from kernel.nftables_foreign_chain import MARK, ForeignChain, MarkedRule, changes, is_about, marked_rules
from kernel.nftables_steps import accept, comes_by
from kernel.nftables_table import DELETE_CHAIN, DELETE_RULE, DELETE_TABLE, NEW_CHAIN, NEW_RULE, NEW_SET, Program
from kernel.nftables_table import rule_body as body_of
from net.packet_filter import Hook

CHAIN = ForeignChain(2, "filter", "FORWARD")
HEAD = ChainHead(2, "filter", "FORWARD", Hook.FORWARD, 0, drops=True, kind="filter")
OURS = (Program((*comes_by("cali*"), *accept()), f"{MARK}from pods"),)
GENERIC = bytes((2, 0, 0, 0))


def held(program: Program = OURS[0], handle: int = 7) -> MarkedRule:
    steps = [(step.name, dict(step.attributes)) for step in program.expressions]
    return MarkedRule(handle.to_bytes(8), program.comment, steps)


def kinds(*rules: MarkedRule, drops: bool = True, wanted: tuple[Program, ...] = OURS) -> list[int]:
    return [one.kind for one in changes(CHAIN, wanted, replace(HEAD, drops=drops), rules)]


def test_they_are_written_only_where_they_are_missing_and_the_chain_drops() -> None:
    assert kinds() == [NEW_RULE]
    assert kinds(held()) == []
    assert kinds(drops=False) == []
    assert kinds(held(), drops=False) == [DELETE_RULE]
    assert kinds(held(), wanted=()) == [DELETE_RULE]


@pytest.mark.parametrize(
    "there",
    [
        held(Program((*comes_by("eth0"), *accept()), OURS[0].comment)),
        held(Program(OURS[0].expressions, f"{MARK}of another version")),
        held(Program((*OURS[0].expressions, *accept()), OURS[0].comment)),
    ],
)
def test_what_differs_is_removed_by_its_handle_and_written_anew(there: MarkedRule) -> None:
    removal, addition = changes(CHAIN, OURS, HEAD, [there])
    assert (removal.kind, addition.kind) == (DELETE_RULE, NEW_RULE)
    assert attribute(3, there.handle) in removal.body


def rule_message(user_data: bytes) -> bytes:
    where = text(1, "filter") + text(2, "FORWARD")
    return GENERIC + where + attribute(3, bytes(8)) + body_of(Program(OURS[0].expressions, "")) + user_data


def test_ours_are_known_by_their_comment_behind_whatever_else_is_noted() -> None:
    comment = OURS[0].comment.encode() + b"\0"
    other = bytes((1, 2)) + b"xx"
    noted = attribute(7, other + bytes((0, len(comment))) + comment)
    (found,) = marked_rules([rule_message(noted), rule_message(b""), rule_message(attribute(7, b"\1\xff"))])
    assert found.comment == OURS[0].comment


def event(kind: int, *names: tuple[int, str], family: int = 2) -> Message:
    body = bytes((family, 0, 0, 0)) + b"".join(text(number, name) for number, name in names)
    return Message(kind, 0, 1, body)


@pytest.mark.parametrize(
    ("seen", "about"),
    [
        (event(NEW_RULE, (1, "filter"), (2, "FORWARD")), True),
        (event(DELETE_RULE, (1, "filter"), (2, "OWN")), False),
        (event(NEW_CHAIN, (1, "filter"), (3, "FORWARD")), True),
        (event(DELETE_CHAIN, (1, "filter"), (3, "INPUT")), False),
        (event(DELETE_TABLE, (1, "filter")), True),
        (event(DELETE_TABLE, (1, "nat")), False),
        (event(DELETE_TABLE, (1, "filter"), family=1), False),
        (event(NEW_SET, (1, "filter"), (2, "FORWARD")), False),
        (Message(NEW_RULE, 0, 1, b""), False),
    ],
)
def test_events_about_the_chain_are_told_from_others(seen: Message, about: bool) -> None:
    assert is_about(seen, [CHAIN]) is about
