"""One line an event, in logfmt, however many lines the message has."""

from __future__ import annotations

import io
import logging
import shlex
import sys
from logging.handlers import QueueHandler
from queue import SimpleQueue

import pytest

from felix_py.logs import LINES_OF_ONE_CALL, CountingHandler, Logfmt, name_no_callers, set_level, set_up


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


def test_no_text_is_a_command_to_a_terminal() -> None:
    assert line("\x1b[2J \x9b31m \x7f") == line("")[:-1] + '\\u001b[2J \\u009b31m \\u007f"'


class Log:
    """A logger that writes to a text, by a clock that a test moves."""

    def __init__(self) -> None:
        self.now, self.text = 0.0, io.StringIO()
        self.handler = CountingHandler(self.text, lambda: self.now)
        self.logger = logging.Logger("felix.fib")
        self.logger.addHandler(self.handler)

    def messages(self) -> list[str]:
        return [shlex.split(one)[3].removeprefix("msg=") for one in self.text.getvalue().splitlines()]


def test_a_prefix_that_flaps_is_counted_and_not_written() -> None:
    log = Log()
    for turn in range(1000):
        log.now = turn / 100
        for verb in ("replace", "del"):
            log.logger.info("ip route %s %s", verb, "203.0.113.0/24")
    assert log.messages() == ["ip route replace 203.0.113.0/24", "ip route del 203.0.113.0/24"] * 5
    log.now = 60.0
    log.handler.write_counts()
    assert log.messages()[10:] == [
        f"995 more lines like: ip route {verb} 203.0.113.0/24" for verb in ("replace", "del")
    ]


def test_many_prefixes_that_flap_are_counted_too_and_keep_no_other_line_away() -> None:
    log = Log()
    for number in range(5000):
        log.logger.info("ip route replace %s", f"203.0.{number}.0/24")
    log.logger.warning("the sidecar reports: %s", "no descriptors")
    assert len(log.messages()) <= LINES_OF_ONE_CALL + 1
    assert log.messages()[-1] == "the sidecar reports: no descriptors"


def test_the_pods_of_a_whole_node_are_all_written_and_so_is_what_was_asked_for() -> None:
    log = Log()
    for number in range(250):
        log.logger.info("ip route replace %s", f"10.65.0.{number}/32")
    for _ in range(500):
        log.logger.debug("fold")
    assert len(log.messages()) == 750


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


def test_what_others_wrote_commands_no_terminal() -> None:
    assert line("\x1b[2J \x9b \u202e \ud800").endswith(r'msg="\u001b[2J \u009b \u202e \ud800"')


def test_a_line_costs_no_look_at_who_wrote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, getattr(logging, name))
    name_no_callers()
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    logger = logging.Logger("felix.fib")
    logger.addHandler(QueueHandler(records))
    logger.info("ip route del 10.65.1.7/32")
    found = records.get_nowait()
    assert (found.lineno, found.funcName, found.thread, found.process) == (0, "(unknown function)", None, None)
    assert 'msg="ip route del 10.65.1.7/32"' in Logfmt().format(found)


def test_a_line_looks_at_the_counts_of_no_other_before_one_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    looks: list[float] = []
    monkeypatch.setattr(log.handler, "write_counts", lambda: looks.append(log.now))
    for now in (0.0, 30.0, 59.0):
        log.now = now
        log.logger.info("ip route del 10.65.1.7/32")
    assert not looks
    log.now = 60.0
    log.logger.info("ip route del 10.65.1.7/32")
    assert looks == [60.0]
