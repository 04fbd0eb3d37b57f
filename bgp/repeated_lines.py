"""Log lines that others cause, so many times each and no more: what a peer repeats is counted, not written.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

import math
import re

from msgspec import Struct

WINDOW_SECONDS = 60.0
LINES_PER_WINDOW = 5
KINDS = 100

_NUMBERS = re.compile(r"0[xX][0-9a-fA-F]+|[0-9a-fA-F]*\d[0-9a-fA-F]*")


class _Window(Struct):
    until: float
    written: int = 0
    counted: int = 0
    last: str = ""


class RepeatedLines:
    """Lets some lines of a kind through within a minute, and says with a later line how many there were besides.

    Lines are of one kind if they differ in numbers only. Those beyond so many kinds in a minute count as one kind.
    """

    def __init__(self, lines: int = LINES_PER_WINDOW, kinds: int = KINDS) -> None:
        """lines: of each kind."""
        self._lines, self._kinds = lines, kinds
        self._windows: dict[str, _Window] = {}
        self.first_over = math.inf
        """When the first window is over, whose count is to be written then."""

    def admit(self, line: str, now: float, kind: str | None = None) -> list[str]:
        """Return what to write: the counts of windows that are over, and this line or nothing.

        now: in seconds. kind: another one than the line's.
        """
        counts = self.over(now)
        if kind is None:
            kind = _NUMBERS.sub("#", line)[:200]
        if kind not in self._windows and len(self._windows) >= self._kinds:
            kind = ""
        window = self._windows.setdefault(kind, _Window(now + WINDOW_SECONDS))
        self.first_over = min(self.first_over, window.until)
        if window.written < self._lines:
            window.written += 1
            return [*counts, line]
        window.counted, window.last = window.counted + 1, line
        return counts

    def over(self, now: float) -> list[str]:
        """Return the counts of the windows that are over by now, for writing."""
        if now < self.first_over:
            return []
        over = {kind: window for kind, window in self._windows.items() if window.until <= now}
        for kind in over:
            del self._windows[kind]
        self.first_over = min((window.until for window in self._windows.values()), default=math.inf)
        return [f"{window.counted} more lines like: {window.last}" for window in over.values() if window.counted]
