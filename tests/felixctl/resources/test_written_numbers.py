"""A number of a file keeps its text where it is printed otherwise."""

from __future__ import annotations

import json

import pytest

from felixctl.resources.written_numbers import WrittenFloat, WrittenInt, as_written, fractional, plain, whole


@pytest.mark.parametrize(("number", "text"), [(15, "0o17"), (5, "+5"), (7, "007"), (31, "0x1F")])
def test_a_whole_number_keeps_its_text(number: int, text: str) -> None:
    written = whole(number, text)
    assert isinstance(written, WrittenInt)
    assert (written, as_written(written), json.dumps(written)) == (number, text, str(number))
    assert type(plain(written)) is int


@pytest.mark.parametrize(("number", "text"), [(1.1, "1.10"), (1000.0, "1e3"), (0.5, ".5")])
def test_a_fraction_keeps_its_text(number: float, text: str) -> None:
    written = fractional(number, text)
    assert isinstance(written, WrittenFloat)
    assert (written, as_written(written), json.dumps(written)) == (number, text, str(number))
    assert type(plain(written)) is float


def test_a_number_that_is_printed_as_written_is_plain() -> None:
    assert (type(whole(15, "15")), type(fractional(1.5, "1.5"))) == (int, float)
    assert (as_written(15), as_written(1.5)) == ("15", "1.5")
