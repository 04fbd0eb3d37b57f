"""Work that becomes a task only if it has to wait."""

from __future__ import annotations

import asyncio

import pytest

from datastore.begun_work import begin


async def test_work_that_waits_for_nothing_is_done_when_it_is_begun() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("work")

    assert begin(work()) is None
    assert done == ["work"]


async def test_what_fails_before_it_waits_fails_where_it_is_begun() -> None:
    async def work() -> None:
        raise LookupError("nothing works")

    with pytest.raises(LookupError):
        begin(work())


async def test_work_that_waits_goes_on_as_a_task_of_its_own() -> None:
    steps: list[object] = []
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        steps.append("begun")
        steps.append(await answer)
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        steps.append(asyncio.current_task())

    task = begin(work())
    assert task is not None and steps == ["begun"]
    answer.set_result("answered")
    await task
    assert steps == ["begun", "answered", task]


async def test_what_the_work_waits_for_may_fail_and_so_may_the_work() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await answer
        except LookupError:
            await asyncio.sleep(0)
            raise

    task = begin(work())
    assert task is not None
    answer.set_exception(LookupError("nothing works"))
    with pytest.raises(LookupError):
        await task


async def test_work_that_is_cancelled_while_it_waits_hears_of_it_and_may_tidy_up() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("tidied up")

    task = begin(work())
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["tidied up"]
