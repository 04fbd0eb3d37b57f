"""Requests that come together are written together, and who is alone waits for nobody."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Coroutine
from typing import Any

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
        found.come()
        await found.lull()
        found.answered()


async def test_one_request_is_one_from_when_it_has_come_until_it_is_answered() -> None:
    found, seen = arrivals.Arrivals(), list[bool]()
    for change in (found.come, found.come, found.answered, found.answered):
        seen.append(found.is_one)
        change()
    assert [*seen, found.is_one] == [False, True, False, True, False]


async def test_where_several_are_under_way_a_write_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LULL_SECONDS", math.inf)
    monkeypatch.setattr(arrivals, "PATIENCE_SECONDS", math.inf)
    found = arrivals.Arrivals()
    found.come()
    found.come()
    waiting = asyncio.create_task(found.lull())
    for _ in range(2 * arrivals.TURNS):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_stream_of_requests_holds_a_write_up_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LULL_SECONDS", math.inf)
    found = arrivals.Arrivals()
    found.come()
    found.come()
    await found.lull()


@pytest.mark.parametrize("together", [10, 50])
async def test_requests_of_one_burst_cost_two_block_writes_however_far_they_have_come(together: int) -> None:
    """One for the first, which was alone when it asked, and one for all others, addresses and releases."""
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator = Allocator(store)
    before = [pod(f"before-{number}") for number in range(5)]
    await asyncio.gather(*map(allocator.assign, before))
    await report(store, allocator)
    store.calls.clear()
    await _request(allocator, allocator.assign(pod(0)), 0)
    others = [_request(allocator, allocator.assign(pod(number)), number % 4) for number in range(1, together)]
    releases = [_request(allocator, allocator.release_handle(one.handle), 0) for one in before]
    await asyncio.gather(*others, *releases)
    assert store.calls["write IPAMBlock"] == 2
    assert len(await owners(store)) == together
    assert await violations(store, {}) == []


def _request(allocator: Allocator, asked: Coroutine[Any, Any, object], turns: int) -> Awaitable[None]:
    """Count a request, which asks some turns of the loop later."""
    allocator.arrivals.come()

    async def served() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await asked
        allocator.arrivals.answered()

    return asyncio.ensure_future(served())
