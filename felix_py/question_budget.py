"""How many questions strangers may have asked on their behalf, so that no flood of them reaches who answers.

Pure: the clock is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class Rate(NamedTuple):
    """So many at once, and then so many a second."""

    at_once: float
    per_second: float


OF_ONE = Rate(10, 2)
OF_STRANGERS = Rate(20, 5)
"""Of all together who have not proved to be somebody yet."""
MOST_SOURCES = 1024
"""Who is remembered; the one that asked longest ago is forgotten first."""


class _Bucket:
    """What is left to one of its rate."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate, self._left, self._at = rate, rate.at_once, now

    def has_some(self, now: float) -> bool:
        self._left = min(self._rate.at_once, self._left + max(0.0, now - self._at) * self._rate.per_second)
        self._at = now
        return self._left >= 1

    def take(self) -> None:
        self._left -= 1


class QuestionBudget:
    """What is left to each source, and to all strangers together."""

    def __init__(self, now: float) -> None:
        self._strangers = _Bucket(OF_STRANGERS, now)
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()
        self._known: set[str] = set()

    def take(self, source: str, now: float) -> bool:
        """Whether a source may have one more question asked; if so, it is counted."""
        own = self._sources.pop(source, None) or _Bucket(OF_ONE, now)
        self._sources[source] = own
        if len(self._sources) > MOST_SOURCES:
            forgotten, _ = self._sources.popitem(last=False)
            self._known.discard(forgotten)
        buckets = [own] if source in self._known else [own, self._strangers]
        if not all(bucket.has_some(now) for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.take()
        return True

    def prove(self, source: str) -> None:
        """Note that a source is no stranger: somebody came from there whom the answer let in."""
        if source in self._sources:
            self._known.add(source)
