"""Documents: what is printed reads back the same, and what people write reads as they meant it."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from felixctl.resources.documents import Document, MalformedDocumentError, Reading, read, to_json, to_yaml, yaml_value
from tests.felixctl.golden import TextDates

# YAML has no way to write these: lone surrogates, and line breaks that it folds into others.
texts = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\x85\ufeff\ufffe\uffff"))
lines = st.lists(texts, max_size=3).map("\n".join)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | lines
)
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
    [document] = read(to_yaml({"body": body}), "printed").documents
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
    assert read(f"value: {written}", "test") == Reading([Document("test, line 1", {"value": meant})], [])


def test_documents_lists_and_sequences_are_taken_apart() -> None:
    text = "a: 1\n---\n---\nkind: XList\nitems: [{b: 1}, {c: 1}]\n---\n- d: 1\n"
    assert read(text, "f").documents == [
        Document("f, line 1", {"a": 1}),
        Document("f, line 4, item 1", {"b": 1}),
        Document("f, line 4, item 2", {"c": 1}),
        Document("f, line 7, item 1", {"d": 1}),
    ]


@pytest.mark.parametrize("items", ["", "items:", "items: []", "items: null"])
def test_a_list_without_items_is_empty_as_gos_nil_slice(items: str) -> None:
    assert read(f"apiVersion: v1\nkind: List\n{items}", "f") == Reading([], [])


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, "b", null]}{"c": 1.5}',
        '\ufeff{"a":\t[1,\n\t"b", null]}\n\n{"c":\t1.5}\n',
        '{"a": [1, "b", null]}\n---\nc: 1.5',
        'c: 1.5\n---\n\t{"a": [1, "b", null]}',
        '---\r\n{"a": [1, "b", null]}\r\n---\r\n---\r\n{"c": 1.5}\r\n---\r\n',
        "%YAML 1.2\n--- # first\na: [1, b, ~]\n...\n\ufeff---\t# second\n\ufeffc: 1.5\n",
        "a: [1, b, null]\n---\n# nothing\n---\nnull\n--- {c: 1.5}",
        "a: [1, b, null]\n...\n---\nc: 1.5\n...\n",
    ],
)
def test_documents_follow_each_other_in_json_and_yaml(text: str) -> None:
    bodies = [document.body for document in read(text, "f").documents]
    assert sorted(bodies, key=str) == [{"a": [1, "b", None]}, {"c": 1.5}]
    assert not read(text, "f").mistakes


def test_json_says_at_which_line_each_document_begins() -> None:
    assert [one.place for one in read('{}\n\n{"a":\n1} {}\n---\n{}', "f").documents] == [
        "f, line 1",
        "f, line 3",
        "f, line 4",
        "f, line 6",
    ]


def test_one_document_that_cannot_be_read_does_not_hide_the_others() -> None:
    text = 'a: 1\na: 2\n---\nb: {1\n---\nc: "\n---\nd: 1\n---\n3\n---\n{"e": 1,,}\n---\nf: 1\n'
    found = read(text, "f")
    assert [one.place for one in found.documents] == ["f, line 8", "f, line 14"]
    assert [mistake.split(":")[0] for mistake in found.mistakes] == [
        "read f, line 2, column 1",
        "read f, line 5, column 1",
        "read f, line 7, column 1",
        "read f, line 10",
        "read f, line 12, column 9",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: b: c", "read f, line 1, column 5: mapping values are not allowed here"),
        ('{"x": {"a": 1,\n"a": 2}}', "read f, line 2, column 1: key 'a' is given twice"),
        ("a: 1\nb: \x07", "read f, line 2: the character U+0007 is not allowed in YAML"),
        ("just words", "read f, line 1: found 'just words' where a resource should be"),
        ("kind: List\nitems: 3", "read f, line 1: items is not a list"),
        ("kind: List\nitem: [{a: 1}]", "read f, line 1: a List has no field item"),
        ('{"a": 1e999}', "read f, line 1, column 7: the number 1e999 is too large"),
        ('{"a": "\\ud800"}', "read f, line 1, column 7: half of a surrogate pair stands alone"),
        ('{"a": ' * 200, "more than 100 levels are nested"),
        ("[" * 100_000, "more than 100 levels are nested"),
        ("x:\n- a: 1\n-\tb: 1", "read f, line 3, column 4: mapping values are not allowed here; a tab stands in"),
        ('x: "y\nz: 1\n', "(while scanning a quoted scalar that begins in line 1)"),
    ],
)
def test_what_is_no_document_is_a_sentence_with_its_place(text: str, sentence: str) -> None:
    [mistake] = read(text, "f").mistakes
    assert sentence in mistake


def test_a_patch_is_one_value() -> None:
    assert yaml_value('[{"op": "remove"}]') == [{"op": "remove"}]
    for text, sentence in (("", "it holds 0 documents"), ("{}{}", "it holds 2 documents"), ("a: {", "read it, line 1")):
        with pytest.raises(MalformedDocumentError, match=sentence):
            yaml_value(text)


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_any_text_is_documents_and_sentences(text: str) -> None:
    found = read(text, "f")
    assert all(isinstance(document.body, dict) for document in found.documents)
    assert not any("\n" in mistake for mistake in found.mistakes)
