"""Group commit: who is served with whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from datastore.group_commit import Batcher


class Desk:
    """It doubles numbers, refuses odd ones, and lets each round wait until it is told to end."""

    def __init__(self) -> None:
        self.served: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.rounds: Batcher[str, int, int] = Batcher(self.serve)

    async def serve(self, key: str, questions: Sequence[int]) -> Sequence[int | Exception]:
        self.served.append(list(questions))
        await self.may_end.wait()
        if 0 in questions:
            raise LookupError("nothing works")
        return [ValueError(f"{number} is odd") if number % 2 else 2 * number for number in questions]


async def test_questions_that_come_together_are_answered_in_one_round() -> None:
    desk = Desk()
    assert await asyncio.gather(*(desk.rounds.submit("a", number) for number in (2, 4, 6))) == [4, 8, 12]
    assert desk.served == [[2, 4, 6]]


async def test_a_question_that_comes_during_a_round_waits_for_the_next() -> None:
    desk = Desk()
    desk.may_end.clear()
    first = asyncio.create_task(desk.rounds.submit("a", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(desk.rounds.submit("a", number)) for number in (4, 6)]
    elsewhere = asyncio.create_task(desk.rounds.submit("b", 8))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    desk.may_end.set()
    assert await asyncio.gather(first, *others, elsewhere) == [4, 8, 12, 16]
    assert desk.served == [[2], [8], [4, 6]]


async def test_one_refusal_is_one_asker_s_and_a_failed_round_is_everybody_s() -> None:
    desk = Desk()
    answers = await asyncio.gather(*(desk.rounds.submit("a", number) for number in (2, 3)), return_exceptions=True)
    assert answers[0] == 4 and isinstance(answers[1], ValueError)
    answers = await asyncio.gather(*(desk.rounds.submit("a", number) for number in (0, 2)), return_exceptions=True)
    assert all(isinstance(answer, LookupError) for answer in answers)
    assert await desk.rounds.submit("a", 2) == 4


async def test_who_leaves_before_the_round_is_left_out_of_it() -> None:
    desk = Desk()
    desk.may_end.clear()
    first = asyncio.create_task(desk.rounds.submit("a", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone, stays = (asyncio.create_task(desk.rounds.submit("a", number)) for number in (4, 6))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    desk.may_end.set()
    assert [await first, await stays] == [4, 12]
    assert desk.served == [[2], [6]]


async def test_who_leaves_during_the_round_is_let_go_when_it_is_over() -> None:
    desk = Desk()
    desk.may_end.clear()
    leaving = asyncio.create_task(desk.rounds.submit("a", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not leaving.done()
    desk.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert desk.served == [[2]]
