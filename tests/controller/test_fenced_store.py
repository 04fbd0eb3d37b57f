"""Who does not lead writes nothing, and reads everything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.fenced_store import FencedStore, NotLeading
from datastore.errors import NotFound
from datastore.kinds.pools import IPPool
from datastore.store import Create, InSync
from datastore.summaries import BLOCKS
from tests.datastore.memory_store import MemoryStore

POOL = IPPool.make("pods", cidr="10.65.0.0/16")
Verb = Callable[[FencedStore, IPPool], Awaitable[object]]
WRITES: dict[str, Verb] = {
    "create": lambda store, pool: store.create(IPPool.make("more", cidr="10.66.0.0/16")),
    "update": lambda store, pool: store.update(pool.with_spec(disabled=True)),
    "patch": lambda store, pool: store.patch(IPPool, "pods", {"spec": {"disabled": True}}),
    "delete": lambda store, pool: store.delete(pool),
    "write": lambda store, pool: store.write(Create(IPPool.make("more", cidr="10.66.0.0/16"))),
}


@pytest.mark.parametrize("verb", WRITES)
async def test_a_write_is_carried_out_by_a_leader_and_by_nobody_else(verb: str) -> None:
    seconds = [0.0]
    store = MemoryStore(POOL)
    fenced = FencedStore(store, lambda: seconds[0])
    pool = await fenced.get(IPPool, "pods")
    before = dict(store.objects)
    with pytest.raises(NotLeading, match="nothing was written"):
        await WRITES[verb](fenced, pool)
    assert store.objects == before
    seconds[0] = 10.0
    await WRITES[verb](fenced, pool)
    assert store.objects != before


async def test_a_write_that_is_not_answered_while_this_process_leads_is_given_up() -> None:
    class Slow(MemoryStore):
        async def delete(self, resource: object) -> None:
            await asyncio.Event().wait()

    with pytest.raises(NotLeading, match="before the answer came"):
        await FencedStore(Slow(), lambda: 0.01).delete(POOL)


async def test_everything_is_read_without_leading() -> None:
    fenced = FencedStore(MemoryStore(POOL), lambda: 0.0)
    assert (await fenced.list(IPPool)).objects[0].name == "pods"
    assert (await fenced.summarize(BLOCKS)).objects == ()
    assert [event async for event in _first(fenced, 2)][1] == InSync()
    assert fenced.atomic
    with pytest.raises(NotFound):
        await fenced.get(IPPool, "none")
    await fenced.close()


async def _first(store: FencedStore, wanted: int):  # type: ignore[no-untyped-def]
    watch = store.watch(IPPool)
    for _ in range(wanted):
        yield await anext(watch)
