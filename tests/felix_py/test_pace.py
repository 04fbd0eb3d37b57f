"""Steps of unimportant tasks are taken one at a time and wait for what is urgent; nothing else of a task changes."""

from __future__ import annotations

import asyncio

import pytest

from felix_py.pace import Pace, give_way


class Attaching:
    """Pods that are being attached until `quiet` is set."""

    def __init__(self) -> None:
        self.quiet = asyncio.Event()

    @property
    def is_quiet(self) -> bool:
        return self.quiet.is_set()

    async def wait_until_quiet(self) -> None:
        await self.quiet.wait()


async def turns(count: int) -> None:
    """Let every other task run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_task_returns_what_it_returns_and_raises_what_it_raises() -> None:
    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        if number < 0:
            raise ValueError("negative")
        return number

    pace = Pace()
    assert await asyncio.gather(*(pace.run(answer(number)) for number in range(5))) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="negative"):
        await pace.run(answer(-1))
    assert await pace.run(answer(7)) == 7


async def test_however_many_tasks_there_are_each_turn_of_the_loop_has_one_step_of_them() -> None:
    steps = 0

    async def work() -> None:
        nonlocal steps
        for _ in range(10):
            steps += 1
            await asyncio.sleep(0)

    pace = Pace()
    tasks = [asyncio.create_task(pace.run(work())) for _ in range(50)]
    await turns(1)
    for _ in range(20):
        before = steps
        await turns(1)
        assert steps - before <= 1
    await asyncio.gather(*tasks)
    assert steps == 500


async def test_while_something_is_urgent_few_steps_are_taken_and_all_soon_after() -> None:
    attaching, steps = Attaching(), 0

    async def work() -> None:
        nonlocal steps
        for _ in range(3):
            steps += 1
            await asyncio.sleep(0)

    pace = Pace(attaching)
    tasks = [asyncio.create_task(pace.run(work())) for _ in range(50)]
    await turns(20)
    assert steps == 0
    attaching.quiet.set()
    await asyncio.gather(*tasks)
    assert steps == 150


async def test_what_becomes_urgent_later_goes_first_from_then_on() -> None:
    pace, attaching = Pace(), Attaching()
    assert await pace.run(asyncio.sleep(0, "before")) == "before"
    pace.give_way_to(attaching)
    after = asyncio.create_task(pace.run(asyncio.sleep(0, "after")))
    await turns(20)
    assert not after.done()
    attaching.quiet.set()
    assert await after == "after"


async def test_what_stays_urgent_stops_no_task() -> None:
    assert await Pace(Attaching()).run(asyncio.sleep(0, "done")) == "done"


async def test_a_task_that_is_cancelled_cleans_up_wherever_it_waits() -> None:
    cleaned = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(name)

    pace = Pace()
    running = asyncio.create_task(pace.run(work("running")))
    await turns(5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cleaned == ["running"]
    assert await pace.run(asyncio.sleep(0, "the next one has its turn")) == "the next one has its turn"


async def test_a_time_limit_within_a_task_holds() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "over"
        return "never"

    assert await Pace().run(work()) == "over"


async def test_who_gives_way_waits_until_it_is_quiet_or_has_waited_long_enough() -> None:
    attaching = Attaching()
    waiting = asyncio.create_task(give_way(attaching, 3600))
    await turns(5)
    assert not waiting.done()
    attaching.quiet.set()
    await waiting
    await give_way(attaching, 3600)
    attaching.quiet.clear()
    await give_way(attaching, 0.001)
