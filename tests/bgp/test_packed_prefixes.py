"""Prefixes in bulk: what is packed is unpacked, in lines that can be read, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.packed_prefixes import packed, unpacked
from net.prefix import Prefix
from tests.bgp.test_protocol import prefixes


@given(st.lists(prefixes))
def test_what_is_packed_is_unpacked_from_its_json(given: list[Prefix]) -> None:
    assert sorted(unpacked(json.loads(json.dumps(packed(given))))) == sorted(given)


def test_prefixes_of_a_family_and_length_are_one_text_in_their_order_a_word_for_each_address() -> None:
    given = ("10.65.1.64/26", "fd00::/26", "10.65.1.0/26", "10.65.0.0/16", "0.0.0.0/0")
    assert packed(map(Prefix.parse, given)) == [
        ["ipv4", 26, "0a410140 0a410100"],
        ["ipv6", 26, f"fd{30 * '0'}"],
        ["ipv4", 16, "0a410000"],
        ["ipv4", 0, "00000000"],
    ]


@pytest.mark.parametrize(
    "group",
    [
        ["ipv4", 26, "0a4101"],
        ["ipv6", 26, "0a410100"],
        ["ipv4", 26, "0a41014g"],
        ["ipv4", 26, "0a410100 0a410101"],
        ["ipv4", 0, "0a000000"],
        ["ipv4", 33, "0a410100"],
        ["ipv4", -1, "0a410100"],
        ["ipv4", 26.5, "0a410100"],
        ["ipv4", "26", "0a410100"],
        ["ipv4", 26, 7],
        ["ipv5", 26, "0a410100"],
        [["ipv4"], 26, "0a410100"],
        ["ipv4", 26],
        "10.65.1.0/26",
        7,
    ],
    ids=str,
)
def test_anything_else_is_refused(group: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        unpacked([group])
