"""In what order the records of a check are read: what one names is written before it, so it is read after it."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest

from datastore.errors import Unavailable
from datastore.record import Resource
from datastore.store import Interest, Listed, Named, Summary, interest_in
from felixctl.ipam.read_records import read_records
from tests.datastore.memory_store import MemoryStore

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Named)


class SlowStore(MemoryStore):
    """It answers when nothing more is asked of it, and writes down what it was asked meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[set[str]] = []
        self._asked: set[str] = set()
        self._quiet: asyncio.Task[None] | None = None

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        await self._turn(interest_in(what).kind)
        return await super().list(what)

    async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
        await self._turn(summary.kind)
        return Listed(())

    async def _turn(self, kind: type[Resource]) -> None:
        self._asked.add(kind.KIND)
        if self._quiet is None:
            self._quiet = asyncio.create_task(self._answer())
        await self._quiet

    async def _answer(self) -> None:
        for _ in range(10):  # turns of the loop: whoever asks at once has asked by then
            await asyncio.sleep(0)
        self.rounds.append(self._asked)
        self._asked, self._quiet = set(), None


async def test_blocks_come_first_and_what_takes_long_is_read_at_once() -> None:
    store = SlowStore()
    await read_records(store)
    together = {"IPPool", "IPAMHandle", "Node", "WorkloadEndpoint"}
    assert store.rounds == [{"IPAMBlock"}, {"BlockAffinity"}, together]


async def test_a_first_look_reads_everything_at_once() -> None:
    store = SlowStore()
    await read_records(store, at_once=True)
    assert store.rounds == [{"IPAMBlock", "BlockAffinity", "IPPool", "IPAMHandle", "Node", "WorkloadEndpoint"}]


async def test_when_one_reading_fails_the_others_have_ended_too() -> None:
    class Away(SlowStore):
        async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
            raise Unavailable("the API server does not answer")

    before = asyncio.all_tasks()
    with pytest.raises(Unavailable, match="does not answer"):
        await read_records(Away(), at_once=True)
    assert asyncio.all_tasks() == before
