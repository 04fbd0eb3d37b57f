"""What is noted of Secrets, and what is made of a note, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from felix_py.peering.last_passwords import note_of, values_of

VALUES = {"bgp": {"rack1": b"s3cret\xff", "rack2": b""}, "other": {"k": b"x"}}


def test_what_is_noted_is_read_back() -> None:
    named = {"bgp": frozenset(("rack1", "rack2")), "other": frozenset("k")}
    assert values_of(note_of("kube-system", VALUES, named), "kube-system") == VALUES


def test_only_keys_that_are_named_are_noted() -> None:
    named = {"bgp": frozenset(("rack1", "rack9")), "unread": frozenset("k")}
    assert values_of(note_of("ns", VALUES, named), "ns") == {"bgp": {"rack1": b"s3cret\xff"}}
    assert note_of("ns", VALUES, {}) == ""


def test_a_note_of_another_namespace_says_nothing() -> None:
    assert values_of(note_of("a", VALUES, {"bgp": frozenset(("rack1",))}), "b") == {}


@pytest.mark.parametrize("secrets", ["[]", '{"a": 1}', '{"a": {"b": 1}}', '{"a": {"b": "%"}}', '{"a": {"b": null}}'])
def test_a_note_that_is_spoilt_says_nothing(secrets: str) -> None:
    assert values_of(f'{{"namespace": "ns", "secrets": {secrets}}}', "ns") == {}


@given(st.text() | st.from_regex(r'\{"namespace": "ns", "secrets": .*\}', fullmatch=True))
def test_no_note_raises(note: str) -> None:
    values_of(note, "ns")
