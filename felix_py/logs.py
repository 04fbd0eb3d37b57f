"""How this process logs: one line an event, `key=value` fields, to standard error.

A change to the kernel is logged as a command of `ip`, so that it can be typed back. What is repeated is counted and not
written: a peer whose prefix flaps, or anybody else, grows no log.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import TextIO

from bgp.repeated_lines import WINDOW_SECONDS, RepeatedLines
from net.printable import json_escaped

LINES_OF_ONE_CALL = 600  # a minute: more than a node full of pods writes when it starts
TEXTS_OF_ONE_CALL = 300
CALLS = 1000


class Logfmt(logging.Formatter):
    """`time=… level=… logger=… msg="…"`, with UTC times to the millisecond."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return (
            f"time={clock}.{int(record.msecs):03d}Z level={record.levelname} logger={record.name} "
            f"msg={json_escaped(encode_basestring(text))}"
        )


class CountingHandler(logging.StreamHandler[TextIO]):
    """Writes five lines of one text in a minute, and so many lines of one call of the logger; the others are counted.

    Those below INFO, which somebody has asked for, are all written.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds from any beginning."""
        super().__init__(stream)
        self.setFormatter(Logfmt())
        self._clock = clock
        self._texts: dict[str, RepeatedLines] = {}  # by call: none uses up another's
        self._calls = RepeatedLines(LINES_OF_ONE_CALL, CALLS)
        self._first_over = math.inf  # of all of them

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.INFO:
            super().emit(record)
            return
        text, call, now = record.getMessage(), str(record.msg), self._clock()
        if now >= self._first_over:
            self.write_counts()
        if call not in self._texts and len(self._texts) >= CALLS:
            call = ""
        texts = self._texts.setdefault(call, RepeatedLines(kinds=TEXTS_OF_ONE_CALL))
        if texts.admit(text, now, kind=text) and self._calls.admit(text, now, kind=call):
            super().emit(record)
        self._first_over = min(self._first_over, texts.first_over, self._calls.first_over)

    def write_counts(self) -> None:
        """Write how many lines there were besides, of the minutes that are over."""
        now = self._clock()
        counted = (*self._texts.values(), self._calls)
        for text in (text for lines in counted for text in lines.over(now)):
            super().emit(logging.LogRecord("felix.logs", logging.WARNING, "", 0, text, (), None))
        self._first_over = min(lines.first_over for lines in counted)

    async def run(self) -> None:
        """Write the counts when their time is over, until cancelled."""
        while True:
            await asyncio.sleep(WINDOW_SECONDS)
            self.write_counts()


def set_up(level: str) -> CountingHandler:
    """Send all logging of this process to standard error, from `level` on; with "NONE" nothing."""
    handler = CountingHandler(sys.stderr)
    logging.basicConfig(level=_threshold(level), handlers=[handler], force=True)
    return handler


def name_no_callers() -> None:
    """Have records made without file, line, thread and process, which no line shows: they are a third of its cost."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def set_level(level: str) -> None:
    """Log from `level` on from now; with "NONE" nothing."""
    logging.getLogger().setLevel(_threshold(level))


def _threshold(level: str) -> int | str:
    return logging.CRITICAL + 1 if level == "NONE" else level
