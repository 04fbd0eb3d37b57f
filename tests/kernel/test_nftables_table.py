"""What is written to make a table as it should be."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from kernel.message import attribute, messages
from kernel.nftables_codec import ChainHead
from kernel.nftables_steps import count, is_family, masquerade
from kernel.nftables_table import (
    DELETE_ELEMENTS,
    DELETE_TABLE,
    INET,
    NEW_CHAIN,
    NEW_ELEMENTS,
    NEW_RULE,
    NEW_SET,
    NEW_TABLE,
    AddressSet,
    AttachedChain,
    HeldSet,
    HeldTable,
    OwnTable,
    Program,
    changes,
    removal,
    table_of,
    transaction,
)
from net.packet_filter import Hook
from net.prefix import pack

RULE = Program((*is_family(4), *count(), *masquerade()), "why")
ELEMENTS = frozenset([(pack("10.65.0.0"), pack("10.65.255.255"))])
MORE = frozenset([(pack("10.66.0.0"), pack("10.66.0.255"))])
WANTED = OwnTable((AddressSet("pools", 4, ELEMENTS),), (AttachedChain("out", "nat", Hook.POSTROUTING, 100, (RULE,)),))
HEAD = ChainHead(INET, "own", "out", Hook.POSTROUTING, 100, drops=False, kind="nat")
ROWS = [(one.name, dict(one.attributes)) for one in RULE.expressions]
HELD = HeldTable(0, {"out": HEAD}, {"out": [ROWS]}, {"pools": HeldSet(4, True, ELEMENTS)})
ANEW = [NEW_TABLE, DELETE_TABLE, NEW_TABLE, NEW_SET, NEW_ELEMENTS, NEW_CHAIN, NEW_RULE]


def kinds(wanted: OwnTable | None, held: HeldTable | None) -> list[int]:
    return [one.kind for one in changes("own", wanted, held)]


def test_a_table_that_is_right_is_not_written() -> None:
    assert kinds(WANTED, HELD) == kinds(None, None) == []


def test_a_counter_that_has_counted_and_defaults_that_the_kernel_shows_are_no_difference() -> None:
    rows = [(name, {**found, 99: b"1"}) for name, found in ROWS]
    assert kinds(WANTED, replace(HELD, rules={"out": [rows]})) == []


def test_only_elements_that_differ_are_changed() -> None:
    wanted = replace(WANTED, sets=(AddressSet("pools", 4, MORE),))
    assert kinds(wanted, HELD) == [DELETE_ELEMENTS, NEW_ELEMENTS]
    wanted = replace(WANTED, sets=(AddressSet("pools", 4, ELEMENTS | MORE),))
    (added,) = changes("own", wanted, HELD)
    assert pack("10.66.0.0") in added.body and pack("10.65.0.0") not in added.body


def test_whatever_else_differs_the_whole_table_is_made_anew_in_one_transaction() -> None:
    different = (
        None,
        replace(HELD, flags=1),
        replace(HELD, sets={}),
        replace(HELD, sets={"pools": HeldSet(4, False, ELEMENTS)}),
        replace(HELD, sets={**HELD.sets, "more": HeldSet(4, True, ELEMENTS)}),
        replace(HELD, rules={}),
        replace(HELD, rules={"out": [ROWS, ROWS]}),
        replace(HELD, rules={"out": [ROWS[:-1]]}),
        replace(HELD, rules={"out": [[*ROWS[:-1], ("masq", {1: bytes(4)})]]}),
        replace(HELD, chains={}),
        replace(HELD, chains={**HELD.chains, "more": HEAD}),
        replace(HELD, chains={"out": replace(HEAD, priority=99)}),
        replace(HELD, chains={"out": replace(HEAD, drops=True)}),
    )
    assert [kinds(WANTED, held) for held in different] == [ANEW] * len(different)


def test_a_table_that_is_not_wanted_is_removed_even_if_it_has_just_gone() -> None:
    assert kinds(None, HELD) == [one.kind for one in removal("own")] == [NEW_TABLE, DELETE_TABLE]


def test_the_last_address_there_is_ends_an_interval_without_another_element() -> None:
    def size(*ranges: tuple[str, str]) -> int:
        elements = frozenset((pack(first), pack(last)) for first, last in ranges)
        return len(changes("own", OwnTable((AddressSet("s", 4, elements),)), None)[-1].body)

    assert size(("240.0.0.0", "255.255.255.255")) < size(("240.0.0.0", "255.255.255.254"))


def test_many_elements_take_several_messages() -> None:
    elements: Iterable[bytes] = (number.to_bytes(4) for number in range(2500))
    hosts = AddressSet("hosts", 4, frozenset((one, one) for one in elements), intervals=False)
    found = changes("own", OwnTable((hosts,)), None)
    assert [one.kind for one in found[-3:]] == [NEW_ELEMENTS] * 3
    assert all(len(one.body) < 1 << 16 for one in found)


def test_a_transaction_has_a_beginning_and_an_end_and_its_requests_are_numbered() -> None:
    found = list(messages(transaction(removal("own"), 7)))
    assert [(one.kind, one.sequence) for one in found] == [
        (0x10, 7), (NEW_TABLE, 8), (DELETE_TABLE, 9), (0x11, 10),
    ]  # fmt: skip
    assert {table_of(one.body) for one in found[1:3]} == {"own"}


def test_messages_of_other_families_are_about_no_table_of_ours() -> None:
    assert table_of(b"") == table_of(bytes((2, 0, 0, 0)) + attribute(1, b"own\0")) == ""
