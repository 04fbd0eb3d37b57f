from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from datastore.fields import network
from ipam import gathering
from ipam.gathering import Gathering

BLOCK = network("10.65.1.0/26")


async def test_who_is_under_way_alone_waits_for_nobody() -> None:
    gathered = Gathering(lambda cidr: 1)
    with gathered.under_way(BLOCK), pytest.raises(StopIteration):
        gathered.enough(BLOCK).send(None)


@pytest.mark.parametrize(("under_way", "enough"), [(2, 1), (3, 2), (4, 3), (8, 6), (17, 13), (50, 38)])
async def test_a_write_waits_for_three_quarters_of_all_and_of_a_few_for_all_but_one(
    under_way: int, enough: int
) -> None:
    waiting = 0
    gathered = Gathering(lambda cidr: waiting)
    with ExitStack() as all_of_them:
        for _ in range(under_way):
            all_of_them.enter_context(gathered.under_way(BLOCK))
        waiting = enough - 1
        writing = asyncio.create_task(gathered.enough(BLOCK))
        for _ in range(gathering.TURNS + 2):
            await asyncio.sleep(0)
        assert not writing.done()
        waiting = enough
        with gathered.under_way(BLOCK):
            pass  # who comes and goes has it look again
        await writing
    assert not gathered._under_way


async def test_those_who_are_done_are_waited_for_no_more() -> None:
    gathered = Gathering(lambda cidr: 1)
    with gathered.under_way(BLOCK):
        with gathered.under_way(BLOCK), gathered.under_way(BLOCK):
            enough = asyncio.create_task(gathered.enough(BLOCK))
            await asyncio.sleep(0)
            assert not enough.done()
        await enough


async def test_a_handle_that_hangs_holds_a_block_up_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "PATIENCE_SECONDS", 0.001)
    gathered = Gathering(lambda cidr: 0)
    with gathered.under_way(BLOCK):
        await gathered.enough(BLOCK)
