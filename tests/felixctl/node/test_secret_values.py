"""Where a value ends. The forms in which secrets come are in test_redaction.py."""

from __future__ import annotations

import pytest

from felixctl.node.secret_values import (
    LEFT_OUT,
    Name,
    answered,
    assigned,
    called_with,
    harmless,
    header,
    spaced,
    unnamed,
)


def name(text: str, *, first: bool = False) -> Name:
    """The name that a text begins with."""
    return Name(0, next(n for n, one in enumerate(text) if not one.isalnum()), 0, first, False)


def cut(text: str, span: tuple[int, int] | None) -> str | None:
    return span and text[span[0] : span[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=b c", "b"),
        ("a=b;c=d", "b"),
        ("a=b;c d", "b;c"),
        ("a: 'b c' d", "'b c'"),
        ('a="b \\" c" d', '"b \\" c"'),
        ("a: {b: '}', c: [1]} d", "{b: '}', c: [1]}"),
        ("a: {b\nc", "{b"),
        ("a: null", None),
        ("a b", None),
        ("a:", None),
    ],
)
def test_a_value_ends_with_its_word_its_quote_or_its_bracket(text: str, value: str | None) -> None:
    assert cut(text, assigned(text, name(text))) == value


def test_the_first_name_of_a_line_has_the_rest_of_it_and_deeper_lines() -> None:
    text = "a: b, c\n  d\n\n  e\nf: g"
    assert cut(text, assigned(text, name(text, first=True))) == "b, c\n  d\n\n  e"
    text = "a:\n- b\n- c\nd: e"
    assert cut(text, assigned(text, name(text, first=True))) == "- b\n- c"


def test_a_header_goes_to_the_end_of_its_line() -> None:
    text = 'a: Digest u="x", r="y"\nb'
    assert cut(text, header(text, name(text))) == 'Digest u="x", r="y"'


def test_a_word_that_goes_on_with_a_sentence_is_no_value() -> None:
    assert spaced("a is not b", name("a ")) is None
    assert cut("a is b", spaced("a is b", name("a "))) == "b"
    assert cut("a b;", spaced("a b;", name("a "))) == "b"


def test_a_value_by_itself() -> None:
    assert cut('"a b" c', unnamed('"a b" c', 0)) == '"a b"'
    assert cut("a b", unnamed("a b", 0)) == "a"


def test_what_a_function_is_called_with() -> None:
    for text, value in (
        ('a("b c")', '"b c"'),
        ('a(b, "c")', '"c"'),
        ('a("b", "c")', '"b", "c"'),
        ("a (b)", "b"),
        ("a (optional)", None),
        ("a (b c)", None),
        ("a b", None),
    ):
        assert cut(text, called_with(text, name(text))) == value


def test_the_answer_to_a_question() -> None:
    text = "a for user x: b c\nd"
    assert cut(text, answered(text, name(text, first=True))) == "b c"
    assert answered(text, name(text)) is None
    assert cut("a for x: b", answered("a for x: b", name("a "))) == "b"
    assert answered("a for x: failed", name("a ")) is None


def test_json_whose_lines_are_not_indented() -> None:
    for text in ('"a"\n:\n"b"\n', '"a":\n"b"\n'):
        assert cut(text, assigned(text, Name(1, 2, 0, True, False))) == '"b"'
    text = '"a":\n"b": c'
    assert assigned(text, Name(1, 2, 0, True, False)) is None


def test_what_is_no_secret_whatever_its_name_is() -> None:
    assert [harmless(text, 0) for text in ("null", "true", LEFT_OUT, "x")] == [True, True, True, False]
