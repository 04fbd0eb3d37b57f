from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.kube.list_message import ENVELOPE, ListMessage


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes as protobuf writes it."""
    length, left = b"", len(content)
    while left >= 0x80:
        length, left = length + bytes([left & 0x7F | 0x80]), left >> 7
    return bytes([number << 3 | 2]) + length + bytes([left]) + content


def message(*items: bytes) -> bytes:
    """Return a list as the API server writes it: its envelope has two more fields behind it, which are empty."""
    found = field(1, field(2, b"1198")) + b"".join(field(2, item) for item in items)
    return ENVELOPE + field(1, b"\x0a\x02v1\x12\x07PodList") + field(2, found) + field(3, b"") + field(4, b"")


def items_of(*parts: bytes) -> list[bytes]:
    arriving = ListMessage()
    found = [item for part in parts for item in arriving.feed(part)]
    arriving.end()
    return found


@given(st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_items_are_found_wherever_the_answer_is_cut(items: list[bytes], data: st.DataObject) -> None:
    text = message(*items)
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    assert items_of(*(text[one:other] for one, other in zip([0, *at], [*at, len(text)], strict=True))) == items


def test_an_item_is_there_with_its_last_byte() -> None:
    arriving = ListMessage()
    text = message(b"first", b"second")
    end = text.index(b"first") + len(b"first")
    assert arriving.feed(text[: end - 1]) == []
    assert arriving.feed(text[end - 1 : end]) == [b"first"]


@pytest.mark.parametrize("end", range(len(message(b"one", b"two")) - 4))
def test_a_list_that_ends_too_early_is_an_error(end: int) -> None:
    with pytest.raises(ValueError, match="too early"):
        items_of(message(b"one", b"two")[:end])


@pytest.mark.parametrize(
    "text",
    [
        b'{"kind":"PodList"}',
        ENVELOPE + b"\x08\x01",
        ENVELOPE + b"\x12" + b"\xff" * 6,
        ENVELOPE + b"\x12\x04" + field(2, b"longer"),
    ],
)
def test_what_is_no_list_in_protobuf_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"begin|tag|too long|longer than its list"):
        ListMessage().feed(text)
