"""Requests that come together are written together, and who is alone waits for nobody."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

import pytest

from ipam import arrivals
from ipam.allocator import Allocator
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import node, owners, pod, pool, report, violations


async def test_who_is_alone_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LULL_SECONDS", math.inf)
    monkeypatch.setattr(arrivals, "PATIENCE_SECONDS", math.inf)
    found = arrivals.Arrivals()
    await found.lull()
    for _ in range(2):
        with found.one():
            await found.lull()


async def test_where_several_are_under_way_a_write_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LULL_SECONDS", math.inf)
    monkeypatch.setattr(arrivals, "PATIENCE_SECONDS", math.inf)
    found = arrivals.Arrivals()
    with found.one(), found.one():
        waiting = asyncio.create_task(found.lull())
        for _ in range(2 * arrivals.TURNS):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


async def test_a_stream_of_requests_holds_a_write_up_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LULL_SECONDS", math.inf)
    found = arrivals.Arrivals()
    with found.one(), found.one():
        await found.lull()


@pytest.mark.parametrize("together", [10, 50])
async def test_requests_of_one_burst_cost_two_block_writes_however_far_they_have_come(together: int) -> None:
    """One for the first, which was alone when it asked, and one for all others, addresses and releases."""
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator = Allocator(store)
    before = [pod(f"before-{number}") for number in range(5)]
    await asyncio.gather(*map(allocator.assign, before))
    await report(store, allocator)
    await asyncio.gather(
        _first_and_then(allocator, range(together)),
        *(_released(allocator, one.handle) for one in before),
    )
    assert store.calls["write IPAMBlock"] <= 2
    assert len(await owners(store)) == together
    assert await violations(store, {}) == []


async def _first_and_then(allocator: Allocator, numbers: Iterable[int]) -> None:
    """Have one request come, and the others while it is served, each with another way to go before it asks."""
    first, *others = numbers
    leading = asyncio.create_task(_assigned(allocator, first, 0))
    await asyncio.sleep(0)
    await asyncio.gather(leading, *(_assigned(allocator, number, number % 4) for number in others))


async def _assigned(allocator: Allocator, number: int, turns: int) -> None:
    with allocator.arrivals.one():
        for _ in range(turns):
            await asyncio.sleep(0)
        await allocator.assign(pod(number))


async def _released(allocator: Allocator, handle: str) -> None:
    with allocator.arrivals.one():
        await allocator.release_handle(handle)
