"""One at a time for each key, in the order of arrival."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager


class KeyedLock:
    """Locks that exist as long as somebody holds or awaits them."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, *keys: Hashable) -> AsyncIterator[None]:
        """Hold the turn of every key. Callers name keys of different sorts in one order, or they wait for ever."""
        async with AsyncExitStack() as held:
            for key in keys:
                await held.enter_async_context(self._one(key))
            yield

    def busy(self, key: Hashable) -> bool:
        return key in self._locks

    @asynccontextmanager
    async def _one(self, key: Hashable) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)
