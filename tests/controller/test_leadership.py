"""Standing for election on a store in memory, in real time with short terms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from controller.election import Candidate, Terms
from controller.leadership import Leadership, clock
from datastore.errors import Unavailable
from datastore.kinds.lease import Lease
from datastore.record import Resource
from tests.datastore.memory_store import MemoryStore

R = TypeVar("R", bound=Resource)
TERMS = Terms(duration_seconds=1, deadline_seconds=0.4, retry_seconds=0.05)
PATIENCE_SECONDS = 20.0


class Interrupted(MemoryStore):
    """A store behind a line that can be cut."""

    def __init__(self, shared: MemoryStore) -> None:
        super().__init__()
        self.objects, self._revisions, self.cut = shared.objects, shared._revisions, False

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        self._require_line()
        return await super().get(kind, name, namespace)

    async def update(self, resource: R) -> R:
        self._require_line()
        return await super().update(resource)

    async def create(self, resource: R) -> R:
        self._require_line()
        return await super().create(resource)

    def _require_line(self) -> None:
        if self.cut:
            raise Unavailable("the line is cut")


@dataclass
class World:
    """Processes that stand for one Lease, and who of them is at work."""

    store: MemoryStore = field(default_factory=MemoryStore)
    at_work: set[str] = field(default_factory=set)
    together: list[set[str]] = field(default_factory=list)

    async def work(self, name: str) -> None:
        self.at_work.add(name)
        if len(self.at_work) > 1:
            self.together.append(set(self.at_work))
        try:
            await asyncio.Event().wait()
        finally:
            self.at_work.discard(name)

    @asynccontextmanager
    async def standing(self, name: str, store: MemoryStore | None = None) -> AsyncIterator[Leadership]:
        leadership = Leadership(store or self.store, Candidate("lease", "default", name, TERMS))
        running = asyncio.create_task(leadership.run(lambda: self.work(name)))
        try:
            yield leadership
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():  # noqa: ASYNC110 - what it waits for is in other tasks' hands
                await asyncio.sleep(0.01)

    async def lease(self) -> Lease:
        return await self.store.get(Lease, "lease", "default")


async def test_whoever_ends_gives_the_lease_back_after_its_work_and_the_next_one_leads() -> None:
    world = World()
    async with world.standing("b") as second:
        async with world.standing("a") as first:
            await world.until(lambda: world.at_work)
            leader, follower = (first, second) if world.at_work == {"a"} else (second, first)
            assert leader.leads
            assert not follower.leads
        await world.until(lambda: world.at_work == {"b"})
        assert (await world.lease()).spec.holder == "b"
    assert (await world.lease()).spec.holder == ""
    assert world.together == []


async def test_whoever_cannot_renew_has_stopped_before_the_next_one_begins_and_comes_back_as_a_follower() -> None:
    world = World()
    line = Interrupted(world.store)
    async with world.standing("a", line) as first:
        await world.until(lambda: world.at_work == {"a"})
        async with world.standing("b"):
            line.cut = True
            await world.until(lambda: not first.leads)
            await world.until(lambda: world.at_work == {"b"})
            line.cut = False
            await world.until(lambda: first.leader == "b")
            assert world.at_work == {"b"}
    assert world.together == []


async def test_a_failure_that_passes_interrupts_nothing() -> None:
    world = World()
    line = Interrupted(world.store)
    async with world.standing("a", line) as first:
        await world.until(lambda: world.at_work == {"a"})
        before = (await world.lease()).revision
        line.cut = True
        await asyncio.sleep(2 * TERMS.retry_seconds)
        line.cut = False
        await world.until(lambda: next(iter(world.store.objects.values())).revision != before)
        assert first.leads
        assert world.at_work == {"a"}


async def test_whoever_finds_its_lease_deleted_stops_and_takes_it_again() -> None:
    world = World()
    async with world.standing("a") as first:
        await world.until(lambda: world.at_work == {"a"})
        await world.store.delete(await world.lease())
        await world.until(lambda: not world.at_work)
        assert not first.leads
        await world.until(lambda: world.at_work == {"a"})


async def test_what_ends_the_work_ends_the_process_and_gives_the_lease_back() -> None:
    store = MemoryStore()

    async def work() -> None:
        raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="it broke"):
        await Leadership(store, Candidate("lease", "default", "a", TERMS)).run(work)
    assert (await store.get(Lease, "lease", "default")).spec.holder == ""


async def test_it_says_how_long_ago_it_has_heard_of_the_lease() -> None:
    store = MemoryStore()
    leadership = Leadership(store, Candidate("lease", "default", "a", TERMS))
    assert leadership.heard_seconds_ago is None
    running = asyncio.create_task(leadership.run(asyncio.Event().wait))  # type: ignore[arg-type]
    await World().until(lambda: leadership.heard_seconds_ago is not None)
    running.cancel()


def test_the_clock_goes_forward() -> None:
    assert clock() <= clock()
