from __future__ import annotations

import msgspec
import pytest

from datastore.kube.page import read_page


def test_a_page_has_its_objects_as_text_and_where_the_next_begins() -> None:
    page = read_page(b'{"kind":"L","metadata":{"resourceVersion":"5","continue":"abc"},"items":[{"a":1}, {"b":2}]}')
    assert (page.metadata.resource_version, page.metadata.next) == ("5", "abc")
    assert [bytes(raw) for raw in page.items] == [b'{"a":1}', b'{"b":2}']
    assert read_page(b'{"metadata":{}}').items == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"items":[]}', b"\xff"])
def test_what_is_no_list_is_an_error(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        read_page(body)


def test_an_object_that_is_nested_too_deeply_hides_no_other() -> None:
    deep = b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"
    page = read_page(b'{"metadata":{"continue":"abc"},"items":[' + deep + b',{"b":2}]}')
    assert page.metadata.next == "abc"
    assert [bytes(raw) for raw in page.items] == [deep, b'{"b":2}']
