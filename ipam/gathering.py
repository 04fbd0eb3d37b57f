"""When the next write of a block is worth while: writing a block costs several times what a handle does.

Of the assignments under way some wait for the block. Others have theirs and wait for a handle, as those that came with
them will, and when they have it the next pods come. So the write waits until enough of all wait for it, and then for
those who are about to join them; who is under way alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from datastore.fields import Network

LATE = 1 / 4
"""Which part of those under way a write does not wait for, and one at least: one request may take long."""
TURNS = 5
"""For how many turns of the event loop a write is open when enough wait for it.

Those whom the write before has answered come again within three. Without them there would be two groups for good, each
with a write of its own.
"""
PATIENCE_SECONDS = 1.0
"""How long a write waits at most: a handle may hang."""


class Gathering:
    """The assignments of one process that are under way, by block."""

    def __init__(self, waiting: Callable[[Network], int]) -> None:
        """waiting: how many wait for the next write of a block."""
        self._waiting = waiting
        self._under_way: Counter[Network] = Counter()
        self._news: defaultdict[Network, asyncio.Event] = defaultdict(asyncio.Event)

    @contextmanager
    def under_way(self, cidr: Network) -> Iterator[None]:
        self._under_way[cidr] += 1
        self._tell(cidr)
        try:
            yield
        finally:
            self._under_way[cidr] -= 1
            self._tell(cidr)
            if not self._under_way[cidr]:
                del self._under_way[cidr]

    async def enough(self, cidr: Network) -> None:
        """Return when enough of them wait for the block, and those who are about to."""
        await self._until_enough(cidr)
        if self._under_way[cidr] > 1:
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _until_enough(self, cidr: Network) -> None:
        if self._are_enough(cidr):
            return
        news = self._news[cidr]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not self._are_enough(cidr):
                        news.clear()
                        await news.wait()
        finally:
            del self._news[cidr]

    def _are_enough(self, cidr: Network) -> bool:
        under_way = self._under_way[cidr]
        late = max(1, int(LATE * under_way))
        return self._waiting(cidr) >= max(1, under_way - late)

    def _tell(self, cidr: Network) -> None:
        if cidr in self._news:
            self._news[cidr].set()
