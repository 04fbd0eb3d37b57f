"""Work that anybody may ask for, done in steps between the work that somebody waits for.

An edge: it waits. The loop has one thread, so what a page's task does in one step keeps a pod waiting for as long. Here
one step is taken at a time, whoever asked for it, and while something more urgent goes on only one every so often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 0.02  # between two steps while pods are attached: a tenth of the time at most


class Urgent(Protocol):
    """The work that goes first."""

    @property
    def is_quiet(self) -> bool: ...

    async def wait_until_quiet(self) -> None: ...


async def give_way(urgent: Urgent, seconds: float) -> None:
    """Return when nothing goes on that goes first, after so many seconds at most."""
    if not urgent.is_quiet:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await urgent.wait_until_quiet()


class Pace:
    """The steps of all tasks of one kind."""

    def __init__(self, urgent: Urgent | None = None) -> None:
        self._urgent = urgent
        self._one_step = asyncio.Lock()

    def give_way_to(self, urgent: Urgent) -> None:
        """Let this work go first from now on."""
        self._urgent = urgent

    async def run(self, task: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine at this pace: each of its steps, from one wait to the next, in its turn."""
        return await _Steps(task, self._turn, self._end_turn)

    async def _turn(self) -> None:
        await self._one_step.acquire()
        if self._urgent is None:
            return
        try:
            await give_way(self._urgent, PATIENCE_SECONDS)
        except BaseException:
            self._one_step.release()
            raise

    def _end_turn(self) -> None:
        asyncio.get_running_loop().call_soon(self._one_step.release)  # the next step is one of the loop's next turn


class _Steps(Generic[T]):
    """Awaits a coroutine, and a turn before each of its steps."""

    def __init__(
        self, task: Coroutine[Any, Any, T], turn: Callable[[], Coroutine[Any, Any, None]], end: Callable[[], None]
    ) -> None:
        self._task, self._turn, self._end = task, turn, end

    def __await__(self) -> Generator[Any, Any, T]:
        failure: BaseException | None = None
        while True:
            in_turn = False
            try:
                yield from self._turn().__await__()
                in_turn = True
            except BaseException as cancelled:  # the coroutine has to know of it, and to clean up, out of turn
                failure = cancelled
            try:
                awaited = self._task.send(None) if failure is None else self._task.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                if in_turn:
                    self._end()
            failure = None
            try:
                yield awaited
            except BaseException as thrown:
                failure = thrown
