"""How long to wait before the next try: longer each time, never the same for many who failed together.

It works out the pauses; whoever tries again does the waiting.
"""

from __future__ import annotations

import random
from collections.abc import Callable

JITTER = 0.1


class Backoff:
    """Pauses in seconds from `first` to `last`, each twice the one before, plus up to a tenth at random."""

    def __init__(self, first: float, last: float, randomly: Callable[[], float] = random.random) -> None:
        """randomly: a number from 0 to 1."""
        self._first, self._last, self._randomly = first, last, randomly
        self._next = first

    def next(self) -> float:
        """Return how long to wait after one more failure."""
        pause, self._next = self._next, min(2 * self._next, self._last)
        return pause * (1 + JITTER * self._randomly())

    def reset(self) -> None:
        """Begin anew with the shortest pause: it has worked."""
        self._next = self._first
