"""The kernel's answers, as bytes it really sent."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernel.message import (
    DONE,
    ERROR,
    Answer,
    Message,
    answer,
    attribute,
    attributes,
    chosen,
    explain,
    message,
    messages,
    number,
    take_failures,
    take_messages,
    text,
)

EXPLANATION = text(1, "Nexthop has invalid gateway")


def test_an_acknowledgement_has_no_error() -> None:
    assert answer(Message(ERROR, 0x100, 7, struct.pack("=i", 0) + bytes(16)))[:2] == (7, 0)


def test_a_capped_error_brings_the_kernels_explanation() -> None:
    body = struct.pack("=i", -101) + bytes(16) + EXPLANATION
    assert answer(Message(ERROR, 0x300, 7, body)) == (7, 101, "Nexthop has invalid gateway")


def test_an_error_that_repeats_the_request_brings_them_behind_it() -> None:
    request = message(24, 0, 7, b"12345")
    body = struct.pack("=i", -22) + request + bytes(-len(request) % 4) + EXPLANATION
    assert answer(Message(ERROR, 0x200, 7, body)).text == "Nexthop has invalid gateway"


def test_the_end_of_a_dump_may_be_an_error_with_an_explanation() -> None:
    assert answer(Message(DONE, 0x200, 7, struct.pack("=i", -2) + EXPLANATION)) == (7, 2, "Nexthop has invalid gateway")


def test_the_failures_of_a_batch_are_those_up_to_its_last_answer() -> None:
    def reply(sequence: int, errno: int) -> bytes:
        return struct.pack("=IHHIIi", 36, ERROR, 0x100, sequence, 0, -errno) + bytes(16)

    failures: list[Answer] = []
    assert not take_failures(reply(2, 19) + message(24, 0, 3, b""), 3, failures)
    assert take_failures(reply(3, 0), 3, failures)
    assert take_failures(reply(3, 3) + reply(1, 19), 3, failures)
    assert [(one.sequence, one.errno) for one in failures] == [(2, 19), (3, 3)]


def test_of_a_dump_are_the_messages_with_its_number_up_to_its_end() -> None:
    found: list[Message] = []
    assert take_messages(message(24, 0, 3, b"abcd") + message(24, 0, 2, b""), 3, found) is None
    last = take_messages(
        message(DONE, 0, 2, bytes(4)) + message(DONE, 0, 3, bytes(4)) + message(24, 0, 3, b""), 3, found
    )
    assert last is not None and (last.kind, last.sequence) == (DONE, 3)
    assert [one.body for one in found] == [b"abcd"]


def test_messages_and_attributes_stop_at_what_is_cut_off() -> None:
    whole = message(24, 0, 1, attribute(1, b"abc"))
    assert [found.sequence for found in messages(whole + whole[:9])] == [1]
    assert list(attributes(attribute(1, b"abc") + number(4, 9)[:3])) == [(1, b"abc")]
    assert list(attributes(bytes(8))) == []
    assert list(messages(bytes(16))) == []


@given(
    st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=9))), st.binary(max_size=9), st.sets(st.integers(0, 40))
)
def test_what_is_chosen_of_the_attributes_is_what_all_of_them_say(
    written: list[tuple[int, bytes]], rest: bytes, kinds: set[int]
) -> None:
    body = b"head" + b"".join(attribute(kind | 0x8000, payload) for kind, payload in written) + rest
    every = dict(attributes(body, 4))
    assert chosen(body, 4, kinds) == {kind: every[kind] for kind in every.keys() & kinds}


def test_an_errno_is_explained_with_its_name() -> None:
    assert explain(19) == "no such device (ENODEV)"
    assert explain(101, "Nexthop has invalid gateway.") == "Nexthop has invalid gateway (ENETUNREACH)"
    assert explain(9999).endswith("(9999)")
