"""How this process logs: one line an event, `key=value` fields, to standard error.

A change to the kernel is logged as a command of `ip`, so that it can be typed back.
"""

from __future__ import annotations

import json
import logging
import sys
import time


class Logfmt(logging.Formatter):
    """`time=… level=… logger=… msg="…"`, with UTC times to the millisecond."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return (
            f"time={clock}.{int(record.msecs):03d}Z level={record.levelname} logger={record.name} "
            f"msg={json.dumps(text, ensure_ascii=False)}"
        )


def set_up(level: str) -> None:
    """Send all logging of this process to standard error, from `level` on; with "NONE" nothing."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Logfmt())
    logging.basicConfig(level=_threshold(level), handlers=[handler], force=True)


def set_level(level: str) -> None:
    """Log from `level` on from now; with "NONE" nothing."""
    logging.getLogger().setLevel(_threshold(level))


def _threshold(level: str) -> int | str:
    return logging.CRITICAL + 1 if level == "NONE" else level
