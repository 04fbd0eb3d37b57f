"""How many questions strangers may have asked on their behalf, so that no flood of them reaches who answers.

Pure: the clock is an argument. Each question about what somebody made up halves what is left to ask per second, of its
source and of all strangers together; so what a flood may cost for long is the least of the rates, of each agent.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class Rate(NamedTuple):
    """So many at once, and then so many a second; that falls to `least_per_second` while questions are in vain."""

    at_once: float
    per_second: float
    least_per_second: float


OF_ONE = Rate(5, 2, 1 / 60)
OF_STRANGERS = Rate(10, 5, 1 / 20)
"""Of all together who have not proved to be somebody yet."""
MOST_SOURCES = 1024
"""Who is remembered; the one that asked longest ago is forgotten first."""


class _Bucket:
    """What is left to one of its rate. After a while without a question in vain it has its whole rate again."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate, self._left, self._at = rate, rate.at_once, now
        self._per_second, self._slowed_at = rate.per_second, now

    def has_some(self, now: float) -> bool:
        self._left = min(self._rate.at_once, self._left + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if now - self._slowed_at >= self._rate.at_once / self._rate.least_per_second:
            self._per_second = self._rate.per_second
        return self._left >= 1

    def take(self) -> None:
        self._left -= 1

    def slow_down(self, now: float) -> None:
        self._slowed_at = now
        self._per_second = max(self._rate.least_per_second, self._per_second / 2)


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

    def was_in_vain(self, source: str, now: float) -> None:
        """Note that a question for a source was about nobody: the next ones come more slowly.

        Not those for a source that is known: through the API server come others too.
        """
        if source in self._sources and source not in self._known:
            self._sources[source].slow_down(now)
            self._strangers.slow_down(now)
