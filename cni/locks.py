"""One at a time for each key, in the order of arrival."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from cni.attachment import Attachment, PodRef


def container_key(attachment: Attachment) -> Hashable:
    return "container", attachment.container_id


def pod_key(pod: PodRef) -> Hashable:
    return "pod", pod.namespace, pod.name


def lock_keys(attachment: Attachment, pod: PodRef) -> tuple[Hashable, Hashable]:
    """Return what a verb locks: the container, then the pod, whose sandboxes share device name and endpoint."""
    return container_key(attachment), pod_key(pod)


class KeyedLock:
    """A lock per key, which exists as long as it is held or awaited."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, *keys: Hashable) -> AsyncIterator[None]:
        """Hold the locks of all keys. Callers name keys of different sorts in one order, or they deadlock."""
        held: list[Hashable] = []
        try:
            for key in keys:
                await self._take(key)
                held.append(key)
            yield
        finally:
            for key in reversed(held):
                self._locks[key][0].release()
                self._leave(key)

    def users(self, key: Hashable) -> int:
        """Return how many hold or await a key's lock."""
        return self._locks[key][1] if key in self._locks else 0

    async def _take(self, key: Hashable) -> None:
        lock, users = self._locks.get(key) or (asyncio.Lock(), 0)
        self._locks[key] = lock, users + 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave(key)
            raise

    def _leave(self, key: Hashable) -> None:
        lock, users = self._locks.pop(key)
        if users > 1:
            self._locks[key] = lock, users - 1
