"""Namespaces come from the watch, and from the datastore where the watch has not reported them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from cni.namespaces import Namespaces
from datastore.errors import BadRecord
from datastore.kinds.namespace import Namespace
from tests.datastore.memory_store import MemoryStore

RED = Namespace.make("red", labels={"colour": "red"})


@asynccontextmanager
async def following(store: MemoryStore) -> AsyncIterator[Namespaces]:
    namespaces = Namespaces(store)
    task = asyncio.create_task(namespaces.follow())
    try:
        yield namespaces
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def colour(namespaces: Namespaces) -> str | None:
    found = await namespaces.get("red")
    return found.labels["colour"] if found else None


async def reported(namespaces: Namespaces, store: MemoryStore, awaited: str | None) -> None:
    """Return when this colour is known without a request; None: when there is no Namespace any more."""
    while True:
        before = store.calls["get Namespace"]
        found = await colour(namespaces)
        if found == awaited and (found is None or store.calls["get Namespace"] == before):
            return
        await asyncio.sleep(0.01)


async def test_what_the_watch_reports_costs_no_request() -> None:
    store = MemoryStore(RED)
    async with following(store) as namespaces:
        await reported(namespaces, store, "red")
        changed = (await store.get(Namespace, "red")).with_metadata(labels={"colour": "blue"})
        await store.update(changed)
        await reported(namespaces, store, "blue")


async def test_what_the_watch_has_not_reported_is_read_once_for_all_that_ask() -> None:
    store = MemoryStore(RED)
    namespaces = Namespaces(store)
    assert await asyncio.gather(*(colour(namespaces) for _ in range(20))) == ["red"] * 20
    assert store.calls["get Namespace"] == 1


async def test_one_that_does_not_exist_or_is_gone_is_none() -> None:
    store = MemoryStore(RED)
    async with following(store) as namespaces:
        await reported(namespaces, store, "red")
        assert await namespaces.get("blue") is None
        await store.delete(await store.get(Namespace, "red"))
        await reported(namespaces, store, None)


async def test_after_the_watch_nothing_is_known_without_a_request() -> None:
    store = MemoryStore(RED)
    async with following(store) as namespaces:
        await reported(namespaces, store, "red")
    before = store.calls["get Namespace"]
    assert await colour(namespaces) == "red"
    assert store.calls["get Namespace"] == before + 1


async def test_one_that_cannot_be_read_is_no_namespace_without_labels() -> None:
    store = MemoryStore(RED)
    store.spoil(await store.get(Namespace, "red"))
    with pytest.raises(BadRecord):
        await Namespaces(store).get("red")
