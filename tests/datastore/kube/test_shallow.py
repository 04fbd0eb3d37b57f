from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from datastore.kube.shallow import elements, members

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6))
def test_the_members_of_an_object_are_what_a_decoder_finds(record: dict[str, Any]) -> None:
    for text in (json.dumps(record), json.dumps(record, indent=1, ensure_ascii=False)):
        assert {name: json.loads(value) for name, value in members(text.encode()).items()} == record


@given(st.lists(JSON, max_size=6))
def test_the_elements_of_an_array_are_what_a_decoder_finds(values: list[Any]) -> None:
    assert [json.loads(value) for value in elements(json.dumps(values).encode())] == values


@given(st.binary())
def test_what_is_no_json_is_taken_apart_without_an_exception_of_ours(text: bytes) -> None:
    elements(text)


def test_depth_does_not_matter() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert members(b'{"a": 1, "b": ' + deep + b"}") == {"a": b"1", "b": deep}
