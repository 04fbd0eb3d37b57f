from __future__ import annotations

import asyncio

import pytest

from datastore.fields import network
from ipam import gathering
from ipam.gathering import Gathering

BLOCK = network("10.65.1.0/26")


async def test_who_is_under_way_alone_waits_for_nobody() -> None:
    gathered = Gathering(lambda cidr: 1)
    with gathered.under_way(BLOCK), pytest.raises(StopIteration):
        gathered.enough(BLOCK).send(None)


async def test_a_write_waits_until_half_of_all_wait_for_it() -> None:
    waiting = 1
    gathered = Gathering(lambda cidr: waiting)
    others = [gathered.under_way(BLOCK) for _ in range(3)]
    for one in others:
        one.__enter__()
    enough = asyncio.create_task(gathered.enough(BLOCK))
    await asyncio.sleep(0)
    assert not enough.done()
    waiting = 2
    with gathered.under_way(BLOCK):
        await enough
    for one in others:
        one.__exit__(None, None, None)
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
