"""Group commit: which requests are served together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from datastore.group_commit import Batcher, to_its_end


class Doubler:
    """It doubles numbers, refuses odd ones, and holds each batch until `may_end` is set.

    alone: each number that finds no batch under way is taken to be alone.
    """

    def __init__(self, alone: bool = False) -> None:
        self.served: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.batches: Batcher[str, int, int] = Batcher(self.serve, is_alone=lambda: alone)

    async def serve(self, key: str, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.served.append(list(numbers))
        await self.may_end.wait()
        if 0 in numbers:
            raise LookupError("nothing works")
        return [ValueError(f"{number} is odd") if number % 2 else 2 * number for number in numbers]


async def test_requests_that_come_together_are_served_in_one_batch() -> None:
    doubler = Doubler()
    assert await asyncio.gather(*(doubler.batches.submit("a", number) for number in (2, 4, 6))) == [4, 8, 12]
    assert doubler.served == [[2, 4, 6]]


@pytest.mark.parametrize("alone", [False, True])
async def test_a_request_that_comes_during_a_batch_waits_for_the_next(alone: bool) -> None:
    doubler = Doubler(alone)
    doubler.may_end.clear()
    first = asyncio.create_task(doubler.batches.submit("a", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(doubler.batches.submit("a", number)) for number in (4, 6)]
    elsewhere = asyncio.create_task(doubler.batches.submit("b", 8))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    doubler.may_end.set()
    assert await asyncio.gather(first, *others, elsewhere) == [4, 8, 12, 16]
    assert doubler.served == [[2], [8], [4, 6]]


async def test_a_refusal_is_one_callers_and_a_failed_batch_is_every_callers() -> None:
    doubler = Doubler()
    results = await asyncio.gather(*(doubler.batches.submit("a", number) for number in (2, 3)), return_exceptions=True)
    assert results[0] == 4 and isinstance(results[1], ValueError)
    results = await asyncio.gather(*(doubler.batches.submit("a", number) for number in (0, 2)), return_exceptions=True)
    assert all(isinstance(result, LookupError) for result in results)
    assert await doubler.batches.submit("a", 2) == 4


@pytest.mark.parametrize("alone", [False, True])
async def test_a_caller_cancelled_before_the_batch_is_left_out_of_it(alone: bool) -> None:
    doubler = Doubler(alone)
    doubler.may_end.clear()
    first = asyncio.create_task(doubler.batches.submit("a", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone, stays = (asyncio.create_task(doubler.batches.submit("a", number)) for number in (4, 6))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    doubler.may_end.set()
    assert [await first, await stays] == [4, 12]
    assert doubler.served == [[2], [6]]


@pytest.mark.parametrize("alone", [False, True])
async def test_a_caller_cancelled_during_the_batch_waits_for_its_end(alone: bool) -> None:
    doubler = Doubler(alone)
    doubler.may_end.clear()
    leaving = asyncio.create_task(doubler.batches.submit("a", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not leaving.done()
    doubler.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert doubler.served == [[2]]


@pytest.mark.parametrize("alone", [False, True])
async def test_a_caller_cancelled_during_the_batch_does_not_wait_for_the_next(alone: bool) -> None:
    doubler = Doubler(alone)
    doubler.may_end.clear()
    leaving = asyncio.create_task(doubler.batches.submit("a", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    next_one = asyncio.create_task(doubler.batches.submit("a", 4))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    doubler.may_end.set()
    doubler.may_end.clear()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not next_one.done()
    doubler.may_end.set()
    assert (await next_one, doubler.served) == (8, [[2], [4]])


async def test_who_is_alone_has_the_result_without_a_turn_of_the_loop_and_no_task_is_made() -> None:
    doubler = Doubler(alone=True)
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "turn")
    tasks = asyncio.all_tasks()
    assert [await doubler.batches.submit("a", number) for number in (2, 4)] == [4, 8]
    assert (turns, asyncio.all_tasks()) == ([], tasks)
    assert doubler.served == [[2], [4]]


async def test_one_who_was_taken_to_be_alone_hears_of_a_failure_and_the_next_is_served() -> None:
    doubler = Doubler(alone=True)
    with pytest.raises(ValueError, match="3 is odd"):
        await doubler.batches.submit("a", 3)
    with pytest.raises(LookupError):
        await doubler.batches.submit("a", 0)
    assert await doubler.batches.submit("a", 2) == 4


async def test_those_who_wait_for_one_who_is_cancelled_alone_are_served_all_the_same() -> None:
    doubler = Doubler(alone=True)
    doubler.may_end.clear()
    leaving = asyncio.create_task(doubler.batches.submit("a", 2))
    await asyncio.sleep(0)
    following = [asyncio.create_task(doubler.batches.submit("a", number)) for number in (4, 0)]
    await asyncio.sleep(0)
    leaving.cancel()
    doubler.may_end.set()
    results = await asyncio.gather(leaving, *following, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, LookupError, LookupError]
    assert doubler.served == [[2], [4, 0]]
    assert await doubler.batches.submit("a", 6) == 12


async def test_one_alone_who_is_cancelled_while_others_are_gathered_is_left_out_and_the_others_are_served() -> None:
    come, served = asyncio.Event(), list[Sequence[int]]()

    async def serve(key: str, items: Sequence[int]) -> Sequence[int]:
        served.append(items)
        return items

    batcher: Batcher[str, int, int] = Batcher(serve, lambda key: come.wait(), lambda: True)
    leaving = asyncio.create_task(batcher.submit("key", 1))
    await asyncio.sleep(0)
    staying = asyncio.create_task(batcher.submit("key", 2))
    await asyncio.sleep(0)
    leaving.cancel()
    come.set()
    assert await staying == 2
    assert (leaving.cancelled(), served) == (True, [[2]])


async def test_a_cancellation_that_was_asked_for_before_reaches_who_is_alone_after_the_whole_batch() -> None:
    doubler, results = Doubler(alone=True), list[int]()

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        results.append(await doubler.batches.submit("a", 2))
        await asyncio.sleep(0)
        results.append(0)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancelled())
    assert (results, doubler.served) == ([4], [[2]])


async def test_a_batch_is_closed_only_when_those_that_were_coming_have_come() -> None:
    come, served = asyncio.Event(), list[Sequence[int]]()

    async def serve(key: str, items: Sequence[int]) -> Sequence[int]:
        served.append(items)
        return items

    async def gather(key: str) -> None:
        await come.wait()

    batcher: Batcher[str, int, int] = Batcher(serve, gather)
    first = asyncio.create_task(batcher.submit("key", 1))
    await asyncio.sleep(0)
    second = asyncio.create_task(batcher.submit("key", 2))
    await asyncio.sleep(0)
    come.set()
    assert [await first, await second] == [1, 2]
    assert served == [[1, 2]]


async def test_a_caller_cancelled_meanwhile_waits_for_the_end_of_the_work() -> None:
    begun, may_end, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        done.append("work")
        raise ValueError("nobody hears of it")

    caller = asyncio.create_task(to_its_end(work()))
    await begun.wait()
    caller.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["work"]


async def test_how_many_wait_for_the_next_batch_is_known() -> None:
    doubler = Doubler()
    doubler.may_end.clear()
    first = asyncio.create_task(doubler.batches.submit("a", 2))
    await asyncio.sleep(0)
    assert doubler.batches.waiting("a") == 1
    await asyncio.sleep(0)
    assert doubler.batches.waiting("a") == 0
    others = [asyncio.create_task(doubler.batches.submit("a", number)) for number in (4, 6)]
    await asyncio.sleep(0)
    assert (doubler.batches.waiting("a"), doubler.batches.waiting("b")) == (2, 0)
    doubler.may_end.set()
    await asyncio.gather(first, *others)
