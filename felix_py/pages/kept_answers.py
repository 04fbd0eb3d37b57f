"""Answers that hold for a while, so that the same question costs nothing meanwhile.

Pure: the clock is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class KeptAnswers(Generic[T]):
    """A bounded number of answers by question; the one that was kept first goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[T, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Hashable, now: float) -> T | None:
        answer, until = self._kept.get(question, (None, now))
        return answer if now < until else None

    def put(self, question: Hashable, answer: T, until: float) -> None:
        self._kept.pop(question, None)
        self._kept[question] = answer, until
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
