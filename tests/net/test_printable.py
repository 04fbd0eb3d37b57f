"""No text from elsewhere commands a terminal."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from net.printable import escaped, is_plain, is_safe, is_text, json_escaped, one_line, yaml_escaped

COMMANDS = "\x1b]0;title\x07 \x9b2J \x7f\r\b \u202eevil\u2066 \u200b \u2028 \ufeff \U000e0041"


def test_controls_and_what_hides_or_reorders_are_escaped_and_other_text_stays() -> None:
    assert escaped("a\tb\nc é 中 ✓ 😀") == "a\tb\nc é 中 ✓ 😀"
    assert escaped(COMMANDS) == (r"\x1b]0;title\x07 \x9b2J \x7f\r\x08 \u202eevil\u2066 \u200b \u2028 \ufeff \U000e0041")
    assert one_line("a\tb\nc") == r"a\tb\nc"
    assert escaped("\ud800") == r"\ud800"


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_is_escaped_is_safe_and_can_be_encoded(text: str) -> None:
    assert is_safe(escaped(text))
    assert "\n" not in one_line(text)
    escaped(text).encode()
    assert escaped(escaped(text)) == escaped(text)


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_plain_is_a_part_of_a_line_as_it_is(text: str) -> None:
    if is_plain(text):
        assert is_safe(text) and not {"\n", "\t"} & set(text)
    assert one_line(text) == text or not is_plain(text)


def test_most_text_is_plain() -> None:
    assert is_plain("10.65.0.1/32, web-0 (n1)") and is_plain("")
    assert not any(map(is_plain, ("a\n", "a\tb", "\x1b[2J", "\x7f", "é", "\ud800")))


@given(st.binary())
def test_text_is_what_was_bytes_of_utf_8(data: bytes) -> None:
    try:
        expected = data.decode() is not None
    except UnicodeDecodeError:
        expected = False
    assert is_text(data.decode(errors="surrogateescape")) is expected


@pytest.mark.parametrize("text", [COMMANDS, "a\x85b\u2029", "plain"])
def test_json_and_yaml_mean_what_they_meant(text: str) -> None:
    out = json_escaped(json.dumps({text: text}, ensure_ascii=False))
    assert is_safe(out)
    assert json.loads(out) == {text: text}
    out = yaml_escaped(f'"{text}"'.replace("\x1b", r"\e").replace("\r", r"\r"))
    assert is_safe(out)
    assert yaml.safe_load(out) == text
