"""Standing for election on a store in memory, by a clock that is set by hand."""

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
TERMS = Terms(duration_seconds=15, deadline_seconds=10.0, retry_seconds=0.01)
PATIENCE_SECONDS = 60.0


class Interrupted(MemoryStore):
    """A store behind a line that can be cut."""

    def __init__(self, shared: MemoryStore) -> None:
        super().__init__()
        self.objects, self._revisions = shared.objects, shared._revisions
        self.cut, self.refused = False, 0

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
            self.refused += 1
            raise Unavailable("the line is cut")


@dataclass
class World:
    """Processes that stand for one Lease, and who of them is at work."""

    store: MemoryStore = field(default_factory=MemoryStore)
    time: float = 0.0
    at_work: set[str] = field(default_factory=set)
    together: list[set[str]] = field(default_factory=list)
    began: list[str] = field(default_factory=list)

    async def work(self, name: str) -> None:
        self.began.append(name)
        self.at_work.add(name)
        if len(self.at_work) > 1:
            self.together.append(set(self.at_work))
        try:
            await asyncio.Event().wait()
        finally:
            self.at_work.discard(name)

    @asynccontextmanager
    async def standing(self, name: str, store: MemoryStore | None = None) -> AsyncIterator[Leadership]:
        candidate = Candidate("lease", "default", name, TERMS)
        leadership = Leadership(store or self.store, candidate, now=lambda: self.time)
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

    async def until_seen(self, *processes: Leadership) -> None:
        """Wait until each has looked at the Lease, or renewed it, and done what followed."""
        for _ in range(2):
            self.time += 0.001
            await self.until(lambda: all(one.heard_seconds_ago == 0.0 for one in processes))

    async def elect(self, *processes: Leadership) -> None:
        """Let the time pass after which whoever stands may take a Lease that nobody has renewed."""
        await self.until_seen(*processes)
        self.time += TERMS.duration_seconds
        await self.until(lambda: self.at_work)

    async def lease(self) -> Lease:
        return await self.store.get(Lease, "lease", "default")


async def test_whoever_ends_gives_the_lease_back_after_its_work_and_the_next_one_leads() -> None:
    world = World()
    async with world.standing("b") as second:
        async with world.standing("a") as first:
            await world.elect(first, second)
            leader, follower = (first, second) if world.at_work == {"a"} else (second, first)
            assert leader.leads
            assert not follower.leads
        assert world.at_work <= {"b"}
        await world.until_seen(second)
        world.time += 1
        await world.until(lambda: world.at_work == {"b"})
        assert (await world.lease()).spec.holder == "b"
    assert (await world.lease()).spec.holder == ""
    assert world.together == []


async def test_whoever_cannot_renew_has_stopped_before_the_next_one_begins_and_comes_back_as_a_follower() -> None:
    world = World()
    line = Interrupted(world.store)
    async with world.standing("a", line) as first:
        await world.elect(first)
        async with world.standing("b") as second:
            await world.until_seen(second)
            line.cut = True
            world.time += TERMS.deadline_seconds + 1
            await world.until(lambda: not world.at_work)
            assert not first.leads
            await world.until_seen(second)
            world.time += TERMS.duration_seconds
            await world.until(lambda: world.at_work == {"b"})
            line.cut = False
            await world.until(lambda: first.leader == "b")
            assert world.at_work == {"b"}
    assert world.together == []


async def test_a_failure_that_passes_interrupts_nothing() -> None:
    world = World()
    line = Interrupted(world.store)
    async with world.standing("a", line) as first:
        await world.elect(first)
        line.cut, failures = True, line.refused
        await world.until(lambda: line.refused > failures + 2)
        line.cut = False
        world.time += 1
        await world.until(lambda: first.heard_seconds_ago == 0.0)
        assert first.leads
        assert world.began == ["a"]


async def test_whoever_finds_its_lease_deleted_stops_and_takes_it_again() -> None:
    world = World()
    async with world.standing("a") as first:
        await world.elect(first)
        await world.store.delete(await world.lease())
        await world.until(lambda: not world.at_work)
        assert not first.leads
        await world.elect(first)
        assert world.began == ["a", "a"]


async def test_what_ends_the_work_ends_the_process_and_gives_the_lease_back() -> None:
    world = World(MemoryStore(Lease.make("lease", "default", holder="", duration_seconds=1)))

    async def work() -> None:
        raise RuntimeError("it broke")

    leadership = Leadership(world.store, Candidate("lease", "default", "a", TERMS), now=lambda: world.time)
    running = asyncio.create_task(leadership.run(work))
    await world.until(lambda: leadership.heard_seconds_ago is not None)
    world.time += 1
    with pytest.raises(RuntimeError, match="it broke"):
        await running
    assert (await world.lease()).spec.holder == ""


async def test_it_says_how_long_ago_it_has_heard_of_the_lease() -> None:
    world = World()
    async with world.standing("a") as leadership:
        assert leadership.heard_seconds_ago is None
        await world.until(lambda: leadership.heard_seconds_ago is not None)


def test_the_clock_goes_forward() -> None:
    assert clock() <= clock()
