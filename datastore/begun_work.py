"""Work that is begun at once, and becomes a task only if it has to wait for something.

A task costs a turn of the event loop and its making. Work that waits for nothing needs none: it is done when `begin`
returns, and nobody can be cancelled in the middle of it. What does wait is nobody's but the task's from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Carry work out until it waits for something; return the task that does the rest. None: it is done.

    Raises what the work raises until then. Up to there it runs in its caller's task, so it must not have entered an
    `asyncio.timeout`, which would end the caller.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return asyncio.create_task(_Rest(work, awaited))


class _Rest(Coroutine[Any, Any, None]):
    """The rest of work, with what it waits for: that is what the task is told to wait for first."""

    def __init__(self, work: Coroutine[Any, Any, None], awaited: object) -> None:
        self._work, self._first = work, [awaited]

    def send(self, value: None) -> Any:
        return self._first.pop() if self._first else self._work.send(value)

    def throw(self, *failure: Any) -> Any:
        self._first.clear()
        return self._work.throw(*failure)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("the rest of begun work is carried out by its task alone")
