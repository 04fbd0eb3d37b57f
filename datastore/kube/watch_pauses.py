"""How long a watch pauses after a failure, before it is begun again: longer each time, never the same for many.

It works out the pauses; the watch does the waiting. Each kind of failure has pauses of its own: a server that was away
for long has refused nothing yet when it is back.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum, auto

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 30.0
LONGEST_LOST_SECONDS = 2.0
"""The longest where the server gave no answer; until there is a connection all streams wait together."""
LONGEST_NOT_NOW_SECONDS = 4.0
"""The longest where it says that it cannot serve now, and not for how long: ten seconds after it can, nodes are to have
made up for everything. With jitter that is six at most."""


class Failure(Enum):
    """How a watch failed, as far as its pause depends on it."""

    LOST = auto()
    """There was no answer, or it broke off."""
    NOT_NOW = auto()
    """The server cannot serve it at present."""
    TOO_MANY = auto()
    """The server serves fewer than ask it, which asking seldom alone mends."""
    REFUSED = auto()
    """It is not served until somebody changes something, or it was served and ended at once."""


class WatchPauses:
    """The pauses of one watch, in seconds."""

    def __init__(self, randomly: Callable[[], float] = random.random) -> None:
        """randomly: a number from 0 to 1."""
        self._randomly = randomly
        self.reset()

    def reset(self) -> None:
        """Begin anew with the shortest pauses: it has worked."""
        self._next = dict.fromkeys(Failure, FIRST_PAUSE_SECONDS)

    def after(self, failure: Failure, retry_after_seconds: float = 0.0) -> float:
        """Return how long to pause after one more failure: half to one and a half times what its turn is.

        retry_after_seconds: how long the server asks to wait, which is obeyed up to LONGEST_PAUSE_SECONDS. It tells all
        the same, so what makes them differ is added.
        """
        longest = {Failure.LOST: LONGEST_LOST_SECONDS, Failure.NOT_NOW: LONGEST_NOT_NOW_SECONDS}
        pause = self._next[failure]
        self._next[failure] = min(pause * 2, longest.get(failure, LONGEST_PAUSE_SECONDS))
        return max(pause / 2, min(retry_after_seconds, LONGEST_PAUSE_SECONDS)) + pause * self._randomly()
