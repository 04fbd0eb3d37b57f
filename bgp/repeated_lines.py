"""Log lines that others cause, so many times each and no more: what a peer repeats is counted, not written.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
LINES_PER_WINDOW = 5
KINDS = 100

_NUMBERS = re.compile(r"0[xX][0-9a-fA-F]+|[0-9a-fA-F]*\d[0-9a-fA-F]*")


@dataclass(slots=True)
class _Window:
    until: float
    written: int = 0
    counted: int = 0
    last: str = ""


class RepeatedLines:
    """Lets five lines of a kind through within a minute, and tells with a later line how many there were besides.

    Lines are of one kind if they differ in numbers only. Those beyond a hundred kinds in a minute count as one kind.
    """

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def admit(self, line: str, now: float) -> list[str]:
        """Return what to write: this line or nothing, and the counts of windows that are over. now: in seconds."""
        over = {kind: window for kind, window in self._windows.items() if window.until <= now}
        for kind in over:
            del self._windows[kind]
        admitted = [f"{window.counted} more lines like: {window.last}" for window in over.values() if window.counted]
        kind = _NUMBERS.sub("#", line)[:200]
        if kind not in self._windows and len(self._windows) >= KINDS:
            kind = ""
        window = self._windows.setdefault(kind, _Window(now + WINDOW_SECONDS))
        if window.written < LINES_PER_WINDOW:
            window.written += 1
            return [*admitted, line]
        window.counted, window.last = window.counted + 1, line
        return admitted
