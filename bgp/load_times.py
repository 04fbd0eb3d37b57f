"""When ExaBGP is given its configuration: at once, but for a rest after each load; and again after one that failed.

An edge: it waits. What a configuration is, and how it is loaded, it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

# A configuration that ExaBGP did not get (a full disk, a check that took too long) is tried again this much later.
LOAD_AGAIN_SECONDS = 15.0
# Each load is a check of the whole file by a process of its own, and a reload of all sessions.
REST_FOR_EACH_SESSION_SECONDS, LONGEST_REST_SECONDS = 0.005, 1.0


def rest_seconds(sessions: int) -> float:
    """Return how long no other load follows one: of configurations that come one by one, several then share a load."""
    return min(REST_FOR_EACH_SESSION_SECONDS * sessions, LONGEST_REST_SECONDS)


class Loads:
    """Loads, one after the other; each is of what is configured when it begins.

    load: returns False if it failed. sessions: how many there are at present.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[bool]],
        sessions: Callable[[], int],
        again_seconds: float = LOAD_AGAIN_SECONDS,
        rest_seconds: Callable[[int], float] = rest_seconds,
    ) -> None:
        self.again_seconds = again_seconds
        self._load, self._sessions, self._rest_seconds = load, sessions, rest_seconds
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the configuration loaded that there is by then."""
        self._asked.set()

    async def run(self) -> None:
        """Load whenever asked to, until cancelled."""
        again: asyncio.TimerHandle | None = None  # one at most: what was configured meanwhile is tried by the same load
        while True:
            await self._asked.wait()
            self._asked.clear()
            if again is not None:
                again.cancel()
            again = None
            if not await self._load():
                again = asyncio.get_running_loop().call_later(self.again_seconds, self._asked.set)
            await asyncio.sleep(self._rest_seconds(self._sessions()))
