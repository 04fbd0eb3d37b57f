"""What an ADD and a DEL ask the datastore, and look at, does not grow with the pods that a node has.

verbs ── allocator, what the agent's watch holds ── a store in memory that counts
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cni.known import Known
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from ipam.host_context import CONTEXT_KINDS
from tests.cni.memory import InMemory, in_memory
from tests.datastore.memory_store import MemoryStore
from tests.felix_py.fakes import until
from tests.looks import counted_tables

LEAST, FEW, MANY = 10, 20, 200
"""The pods of MANY fill three blocks and have a fourth."""


class Cost(NamedTuple):
    calls: Counter[str]
    looks: dict[str, int]


@asynccontextmanager
async def watched(there: InMemory, store: MemoryStore) -> AsyncIterator[None]:
    """Have allocator and verbs know what the agent's watch would report."""
    kinds: list[type[Resource]] = [*CONTEXT_KINDS, ClusterInformation, WorkloadEndpoint]

    async def follow() -> None:
        async for event in store.watch(*kinds):
            there.allocator.on_event(event)
            there.known.observe(event)

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def cost_among(pods: int, folder: Path) -> Cost:
    """Return what one more ADD and its DEL cost."""
    store = MemoryStore()
    async with in_memory(folder, store) as there, watched(there, store):
        for number in range(pods):
            await there.add(f"c{number}", f"pod-{number}")
        await until(lambda: reported(there.known, pods))
        looks = counted_tables(LEAST, there.allocator, there.known, there.writer, there.journal)
        store.calls.clear()
        await there.add("new", "new")
        await there.delete("new", "new")
        return Cost(+store.calls, looks.take())


def reported(known: Known, pods: int) -> bool:
    return len(list(known.endpoints())) == pods


async def test_one_more_pod_costs_as_much_as_among_few(tmp_path: Path) -> None:
    few, many = [await cost_among(pods, tmp_path / str(pods)) for pods in (FEW, MANY)]
    assert many.calls == few.calls
    of_a_block = 64
    assert not {table: looks for table, looks in many.looks.items() if looks > few.looks.get(table, 0) + of_a_block}
