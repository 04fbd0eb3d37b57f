"""Documents: what is printed reads back the same, and what people write reads as they meant it."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from felixctl.resources.documents import Document, MalformedDocumentError, read, to_json, to_yaml
from tests.felixctl.golden import TextDates

# YAML has no way to write these: lone surrogates, and line breaks that it folds into others.
texts = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\x85\ufeff\ufffe\uffff"))
lines = st.lists(texts, max_size=3).map("\n".join)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts | lines
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
bodies = st.dictionaries(texts, values, max_size=4)


@given(bodies)
@example({"community": "65000:10", "mac": "12:30:45", "octal": "0o17", "hex": "0x10", "old": "017"})
@example({"on": "off", "y": "n", "date": "2026-01-01", "time": "2026-01-01T00:00:00Z", "none": "~", "": ""})
@example({"text": "a: b", "hash": "# c", "star": "*x", "dash": "- d", "quote": "'", "tab": "\t", "e": "1e3"})
@example({"items": [{"deep": [[], {}, [[]]]}], "lines": "one\ntwo\n", "trailing": "x \n y"})
def test_what_is_printed_reads_back_the_same(body: dict[str, object]) -> None:
    [document] = read(to_yaml({"body": body}), "printed") or [Document("", {})]
    assert document.body == {"body": body}
    assert yaml.load(to_yaml({"body": body}), Loader=TextDates) == {"body": body}, "a YAML 1.1 reader agrees"
    assert json.loads(to_json(body)) == body


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("65000:10", "65000:10"),
        ("1:30", "1:30"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("on", "on"),
        ("0x10", 16),
        ("0o17", 15),
        ("017", 17),
        ("64512", 64512),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ("", None),
        ("'64512'", "64512"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_scalars_read_by_the_rules_of_yaml_1_2(written: str, meant: object) -> None:
    assert read(f"value: {written}", "test") == [Document("test, line 1", {"value": meant})]


def test_documents_lists_and_sequences_are_taken_apart() -> None:
    text = "a: 1\n---\n---\nkind: XList\nitems: [{b: 1}, {c: 1}]\n---\n- d: 1\n"
    assert read(text, "f") == [
        Document("f, line 1", {"a": 1}),
        Document("f, line 4, item 1", {"b": 1}),
        Document("f, line 4, item 2", {"c": 1}),
        Document("f, line 7, item 1", {"d": 1}),
    ]


def test_json_is_read_as_it_is() -> None:
    assert read('{"kind": "X", "spec": {"a": [1, "b", null]}}', "f")[0].body == {
        "kind": "X",
        "spec": {"a": [1, "b", None]},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: b: c", "read f, line 1, column 5: mapping values are not allowed here"),
        ("x:\n  a: 1\n  a: 2", "read f, line 3, column 3: key 'a' is given twice"),
        ("1: 2", "read f, line 1, column 1: key 1 is not text"),
        ("a: !!python/object/apply:os.system [ls]", "read f, line 1, column 4: could not determine a constructor"),
        ("a: &x [*x]", "unconstructable recursive node"),
        ("\x00", "read f: unacceptable character"),
        ("just words", "found 'just words' where a resource should be"),
    ],
)
def test_what_is_no_document_is_a_sentence_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(MalformedDocumentError) as caught:
        read(text, "f")
    assert sentence in str(caught.value)


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_any_text_is_documents_or_one_sentence(text: str) -> None:
    try:
        found = read(text, "f")
    except MalformedDocumentError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(document.body, dict) for document in found)
