"""How the sidecar logs: a line an event. What a peer or ExaBGP wrote in it commands no terminal and begins no line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

from net.printable import escaped, one_line

LEVELS: Mapping[str, int] = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
"""The levels that the agent's setting has, since both processes are given one."""


class EscapingFormatter(logging.Formatter):
    """The usual line, with the message in it escaped; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it so
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


def set_up(level: int) -> None:
    """Send all logging of this process to standard error, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EscapingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
