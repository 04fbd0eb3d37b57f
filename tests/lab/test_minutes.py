"""How many minutes a command line asks for."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from lab.minutes import minutes


def test_parts_of_a_minute_and_a_whole_day_are_a_time() -> None:
    assert [minutes(text) for text in ("0.2", "5", "1e2", "1440")] == [0.2, 5, 100, 1440]


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf", "1441", "1e9"])
def test_what_is_no_time_or_would_never_end_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no number of minutes: more than 0, and 1440 at most"):
        minutes(text)
