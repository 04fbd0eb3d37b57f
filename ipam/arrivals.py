"""When requests come together, so that one write of a block serves them all.

Whoever takes requests in counts each from the moment it has come until it is answered. A block's write waits for no
request that is alone. Where several are under way it waits until no more have come for a moment: those that come next
are most likely of the same burst, and the work that others still have, making their devices say, fills the time.
"""

from __future__ import annotations

import asyncio
import math

LULL_SECONDS = 0.002
"""For how long none has come when a burst is taken to be over: processes that a runtime starts at once are closer."""
PATIENCE_SECONDS = 0.02
"""How long a write waits at most."""
TURNS = 13
"""How many turns of the event loop a request needs from when it has come until it asks for its addresses."""


class Arrivals:
    """The requests that one process has taken in and not answered."""

    def __init__(self) -> None:
        self._under_way = 0
        self._latest = -math.inf

    def come(self) -> None:
        """Count a request: as soon as it is known of, so that none that came with it takes itself to be alone."""
        self._under_way += 1
        self._latest = _now()

    def answered(self) -> None:
        """Count it no more."""
        self._under_way -= 1

    @property
    def is_one(self) -> bool:
        """Whether a single request is under way."""
        return self._under_way == 1

    async def lull(self) -> None:
        """Return when no more are expected soon: at once if no more than one is under way."""
        patience_ends = _now() + PATIENCE_SECONDS
        while self._under_way > 1:
            latest = self._latest
            if (left := min(latest + LULL_SECONDS, patience_ends) - _now()) > 0:
                await asyncio.sleep(left)
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if self._latest == latest or _now() >= patience_ends:
                return


def _now() -> float:
    return asyncio.get_running_loop().time()
