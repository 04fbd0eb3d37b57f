"""When configurations are loaded, with loads that are only counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bgp.load_times import Loads, rest_seconds
from tests.bgp.fabric import until

HOUR = 3600.0


class Loaded:
    """What is configured at present, and what of it was loaded."""

    def __init__(self) -> None:
        self.configured = ""
        self.loads: list[str] = []
        self.fails = False
        self.finish = asyncio.Event()
        self.finish.set()

    async def load(self) -> bool:
        configured = self.configured
        await self.finish.wait()
        self.loads.append(configured)
        return not self.fails


@asynccontextmanager
async def loading(
    again_seconds: float = HOUR, rest: Callable[[int], float] = lambda sessions: 0.0
) -> AsyncIterator[tuple[Loaded, Callable[[str], None]]]:
    """Run loads; the second of the two configures something and asks for a load."""
    loaded = Loaded()
    loads = Loads(loaded.load, lambda: 7, again_seconds, rest)

    def configure(what: str) -> None:
        loaded.configured = what
        loads.ask()

    running = asyncio.create_task(loads.run())
    try:
        yield loaded, configure
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def turns() -> None:
    """Let everything run that waits for nothing but its turn."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_load_waits_for_no_rest() -> None:
    async with loading(rest=lambda sessions: HOUR) as (loaded, configure):
        configure("one")
        await until(lambda: loaded.loads == ["one"], "the load")


async def test_what_is_asked_for_while_loads_rest_is_not_loaded_yet() -> None:
    async with loading(rest=lambda sessions: HOUR) as (loaded, configure):
        configure("one")
        await until(lambda: loaded.loads, "the load")
        for what in ("two", "three"):
            configure(what)
            await turns()
        assert loaded.loads == ["one"]


async def test_all_that_came_during_a_load_and_its_rest_is_one_load_for_as_many_sessions() -> None:
    rests: list[int] = []

    def rest(sessions: int) -> float:
        rests.append(sessions)
        return 0.001

    async with loading(rest=rest) as (loaded, configure):
        loaded.finish.clear()
        configure("one")
        await turns()
        for what in ("two", "three", "four"):
            configure(what)
            await turns()
        loaded.finish.set()
        await until(lambda: len(rests) == 2, "the loads")
        assert loaded.loads == ["one", "four"]
        assert rests == [7, 7]


async def test_a_load_that_failed_is_done_again_by_itself() -> None:
    async with loading(again_seconds=0.001) as (loaded, configure):
        loaded.fails = True
        configure("one")
        await until(lambda: len(loaded.loads) > 2, "more tries")
        loaded.fails = False
        assert set(loaded.loads) == {"one"}


async def test_one_retry_at_a_time_is_waited_for_however_many_loads_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    handles, loop = list[asyncio.TimerHandle](), asyncio.get_running_loop()
    call_later = loop.call_later

    def noting(delay: float, *call: Any, **more: Any) -> asyncio.TimerHandle:
        handle = call_later(delay, *call, **more)
        if delay == HOUR:
            handles.append(handle)
        return handle

    monkeypatch.setattr(loop, "call_later", noting)
    async with loading() as (loaded, configure):
        loaded.fails = True
        for number in range(1, 6):
            configure(f"number {number}")
            await until(lambda number=number: len(handles) == number, "the next try to be due")  # type: ignore[misc]
        assert [handle.cancelled() for handle in handles] == [True, True, True, True, False]
        loaded.fails = False
        configure("the last")
        await until(lambda: loaded.loads[-1] == "the last", "the load")
        assert all(handle.cancelled() for handle in handles)


def test_loads_rest_little_among_few_sessions_and_a_second_among_hundreds() -> None:
    assert [rest_seconds(sessions) for sessions in (0, 3, 100, 200, 5000)] == [0.0, 0.015, 0.5, 1.0, 1.0]
