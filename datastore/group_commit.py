"""Group commit: requests that arrive while a batch is under way are served together, in the next one.

It opens nothing and knows no store. Fifty requests that arrive together cost one batch, and a single one waits for no
other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from datastore.begun_work import begin

BatchKey = TypeVar("BatchKey", bound=Hashable)
Item = TypeVar("Item")
Done = TypeVar("Done")
Result = TypeVar("Result")

Serve: TypeAlias = Callable[[BatchKey, Sequence[Item]], Awaitable[Sequence[Result | Exception]]]
"""Serves one batch: the results in the order of the items, an exception for an item that is refused."""


async def to_its_end(work: Coroutine[Any, Any, Done]) -> Done:
    """Return what a piece of work returns; a caller that is cancelled waits for its end before it is."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it is nobody's any more
        raise


class Batcher(Generic[BatchKey, Item, Result]):
    """One batch at a time for each key; batches of different keys run side by side."""

    def __init__(
        self,
        serve: Serve[BatchKey, Item, Result],
        gather: Callable[[BatchKey], Awaitable[object]] | None = None,
        is_alone: Callable[[], bool] = lambda: False,
    ) -> None:
        """gather: waits, before each batch is closed, for items that are known to come soon.

        is_alone: whether no item but the one submitted is expected. Its batch is begun at once then, in its caller's
        task until it has to wait for something (datastore.begun_work).
        """
        self._serve, self._gather, self._is_alone = serve, gather, is_alone
        self._waiting: dict[BatchKey, list[tuple[Item, asyncio.Future[Result]]]] = {}
        self._serving: dict[BatchKey, asyncio.Task[None] | None] = {}
        """None: not a task, or not yet."""
        self._served: dict[BatchKey, asyncio.Future[None]] = {}
        """Done when the batch that is under way is."""

    async def submit(self, key: BatchKey, item: Item) -> Result:
        """Return the result from the next batch that starts; a result that is an exception is raised.

        A caller cancelled before the batch starts is left out of it. A caller cancelled later waits for the batch, so
        what it undoes has really happened.
        """
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append((item, result))
        if key not in self._serving:
            self._start(key)
        try:
            return await result
        except asyncio.CancelledError:
            begun = all(waiting is not result for _, waiting in self._waiting.get(key, ()))
            if result.cancelled() and begun and key in self._served:
                await asyncio.wait([self._served[key]])
            raise

    def waiting(self, key: BatchKey) -> int:
        """Return how many wait for the next batch that starts."""
        return len(self._waiting.get(key, ()))

    def _start(self, key: BatchKey) -> None:
        if not self._is_alone():
            self._serving[key] = asyncio.create_task(self._run(key))
            return
        self._serving[key] = None
        if rest := begin(self._run(key)):
            self._serving[key] = rest

    async def _run(self, key: BatchKey) -> None:
        try:
            while key in self._waiting:
                if self._gather:
                    await self._gather(key)
                submitted = self._waiting.pop(key)
                self._served[key] = asyncio.get_running_loop().create_future()
                try:
                    await self._serve_batch(key, [(item, result) for item, result in submitted if not result.done()])
                finally:
                    self._served.pop(key).set_result(None)
        finally:
            del self._serving[key]
            for _, result in self._waiting.pop(key, ()):
                result.cancel()

    async def _serve_batch(self, key: BatchKey, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not batch:
            return
        results: Sequence[Result | Exception]
        try:
            results = await self._serve(key, [item for item, _ in batch])
        except Exception as failure:
            results = [failure] * len(batch)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
