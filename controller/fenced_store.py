"""A store that is written only while this process leads.

An edge. Whatever is under way when leadership ends, or when a process that was stopped goes on, writes nothing: each
write asks first, and has only as long as leadership lasts. What is read is read at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from datastore.errors import Unavailable
from datastore.record import Resource
from datastore.store import Interest, Listed, Named, StatusStore, Summary, Unreadable, WatchEvent, Write

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Named)
T = TypeVar("T")


class NotLeading(Unavailable):
    """Another process may be acting: nothing was written."""


class FencedStore:
    """seconds_left: for how long this process leads at least; 0: it does not."""

    def __init__(self, store: StatusStore, seconds_left: Callable[[], float]) -> None:
        self._store, self._seconds_left = store, seconds_left

    @property
    def atomic(self) -> bool:
        return self._store.atomic

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        return await self._store.get(kind, name, namespace)

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        return await self._store.list(what)

    async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
        return await self._store.summarize(summary)

    async def scan(self, summary: Summary[R, S], look: Callable[[S], object]) -> tuple[Unreadable, ...]:
        return await self._store.scan(summary, look)

    def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        return self._store.watch(*interests)

    async def create(self, resource: R) -> R:
        return await self._within(f"create {resource.KIND} {resource.name}", lambda: self._store.create(resource))

    async def update(self, resource: R) -> R:
        return await self._within(f"update {resource.KIND} {resource.name}", lambda: self._store.update(resource))

    async def update_status(self, resource: R) -> R:
        what = f"update the status of {resource.KIND} {resource.name}"
        return await self._within(what, lambda: self._store.update_status(resource))

    async def patch(self, kind: type[R], name: str, patch: Mapping[str, Any], namespace: str | None = None) -> R:
        return await self._within(f"patch {kind.KIND} {name}", lambda: self._store.patch(kind, name, patch, namespace))

    async def delete(self, resource: Resource) -> None:
        await self._within(f"delete {resource.KIND} {resource.name}", lambda: self._store.delete(resource))

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        return await self._within(f"write {len(writes)} objects", lambda: self._store.write(*writes))

    async def close(self) -> None:
        await self._store.close()

    async def _within(self, what: str, write: Callable[[], Awaitable[T]]) -> T:
        if (left := self._seconds_left()) <= 0:
            raise NotLeading(f"{what}: this controller does not lead, and another may; nothing was written")
        try:
            async with asyncio.timeout(left):
                return await write()
        except TimeoutError:
            raise NotLeading(f"{what}: this controller's time to lead was over before the answer came") from None
