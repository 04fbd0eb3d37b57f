"""One line an event, in logfmt, however many lines the message has."""

from __future__ import annotations

import logging
import shlex
import sys

import pytest

from felix_py.logs import Logfmt, set_level, set_up


def line(message: str, *, exc_info: bool = False) -> str:
    record = logging.LogRecord("felix.fib", logging.WARNING, "", 0, message, (), sys.exc_info() if exc_info else None)
    record.created, record.msecs = 1_700_000_000.0, 7.0
    return Logfmt().format(record)


def test_time_level_logger_and_message_are_fields_and_the_time_is_utc() -> None:
    assert line("put route 10.65.1.7/32") == (
        'time=2023-11-14T22:13:20.007Z level=WARNING logger=felix.fib msg="put route 10.65.1.7/32"'
    )


def test_quotes_and_newlines_stay_within_the_field() -> None:
    text = line('BGPPeer "rack1":\nno address')
    assert "\n" not in text
    assert shlex.split(text)[3] == 'msg=BGPPeer "rack1":\\nno address'


def test_letters_beyond_ascii_stay_readable() -> None:
    assert "café" in line("café")


def test_a_traceback_is_part_of_the_same_line() -> None:
    try:
        raise ValueError("lost")
    except ValueError:
        text = line("a task failed", exc_info=True)
    assert "\n" not in text
    assert "ValueError: lost" in text


@pytest.mark.parametrize(("level", "most"), [("NONE", None), ("CRITICAL", logging.CRITICAL), ("INFO", logging.INFO)])
def test_from_the_level_on_everything_is_logged_and_with_none_nothing(level: str, most: int | None) -> None:
    root, before = logging.getLogger(), (list(logging.getLogger().handlers), logging.getLogger().level)
    try:
        set_up(level)
        enabled = [one for one in (logging.INFO, logging.CRITICAL) if root.isEnabledFor(one)]
        assert min(enabled, default=None) == most
    finally:
        root.handlers, level_before = before
        root.setLevel(level_before)


def test_the_level_can_be_changed_while_it_runs() -> None:
    root = logging.getLogger()
    before = root.level
    try:
        for level, number in (("WARNING", 30), ("NONE", 51)):
            set_level(level)
            assert root.level == number
    finally:
        root.setLevel(before)
