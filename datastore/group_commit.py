"""Group commit: who asks while a round is under way is served, with all others, in the next.

It opens nothing and knows no store. Fifty requests that arrive together cost one round, and one alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeAlias, TypeVar

Key = TypeVar("Key", bound=Hashable)
Question = TypeVar("Question")
Answer = TypeVar("Answer")

Serve: TypeAlias = Callable[[Key, Sequence[Question]], Awaitable[Sequence[Answer | Exception]]]


class Batcher(Generic[Key, Question, Answer]):
    """One round at a time for each key; different keys are served side by side."""

    def __init__(self, serve: Serve[Key, Question, Answer]) -> None:
        self._serve = serve
        self._waiting: dict[Key, list[tuple[Question, asyncio.Future[Answer]]]] = {}
        self._serving: dict[Key, asyncio.Task[None]] = {}

    async def submit(self, key: Key, question: Question) -> Answer:
        """Return the answer of the next round that starts; an answer that is an exception is raised.

        Who stops waiting before the round starts is left out of it. Afterwards the round is carried out all the same,
        and he is let go when it is over: what he undoes then has been done.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append((question, answer))
        if key not in self._serving:
            self._serving[key] = asyncio.create_task(self._run(key), name=f"ipam round {key}")
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if any(waiting is answer for _, waiting in self._waiting.get(key, ())):
                answer.cancel()
            else:
                await asyncio.wait([answer])
            raise

    async def _run(self, key: Key) -> None:
        try:
            while asked := self._waiting.pop(key, None):
                await self._round(key, [(question, answer) for question, answer in asked if not answer.done()])
        finally:
            del self._serving[key]
            for _, answer in self._waiting.pop(key, ()):
                answer.cancel()

    async def _round(self, key: Key, asked: list[tuple[Question, asyncio.Future[Answer]]]) -> None:
        if not asked:
            return
        answers: Sequence[Answer | Exception]
        try:
            answers = await self._serve(key, [question for question, _ in asked])
        except Exception as failure:
            answers = [failure] * len(asked)
        except BaseException:
            for _, future in asked:
                future.cancel()
            raise
        for (_, future), answer in zip(asked, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
