"""A watch through whatever a network and a server do to it: afterwards it has reported what a list returns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from datastore.kinds.bgp import BGPPeer
from datastore.kinds.pools import IPPool
from datastore.kube import client, http2, watch_stream
from datastore.kube.store import KubeStore
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Store, Unreadable
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy

PATIENCE_SECONDS = 30.0


class Watcher:
    """What a watch has reported so far."""

    def __init__(self, store: Store, *kinds: type[Resource]) -> None:
        self.objects: dict[tuple[str, str], str | None] = {}
        self.in_sync = False
        self.unreadable: list[str] = []
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._run(store, kinds))

    async def _run(self, store: Store, kinds: tuple[type[Resource], ...]) -> None:
        async for event in store.watch(*kinds):
            match event:
                case InSync():
                    assert not self.in_sync
                    self.in_sync = True
                case Changed(resource=found):
                    self.objects[type(found).KIND, found.name] = found.revision
                case Gone():
                    assert self.objects.pop((event.kind.KIND, event.name)), "reported as gone once"
                case Unreadable():
                    self.unreadable.append(event.reason)
            self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def watched(
    bed: Bed, folder: Path, *kinds: type[Resource]
) -> AsyncIterator[tuple[FaultyProxy, KubeStore, Watcher]]:
    """A writer with the API server itself, and a watcher behind a proxy."""
    async with faulty_proxy(bed.access(), folder) as proxy:
        writer, reader = bed.open(), KubeStore(proxy.access)
        watcher = Watcher(reader, *(kinds or (IPPool,)))
        try:
            yield proxy, writer, watcher
        finally:
            await reader.close()
            await writer.close()
            await watcher.task


def pool(name: str, third: int = 0) -> IPPool:
    return IPPool.make(name, cidr=f"10.{third}.0.0/16")


async def same_as_listed(store: Store, watcher: Watcher, *kinds: type[Resource]) -> None:
    """Wait until the watcher has what is there."""
    listed = [found for kind in kinds or (IPPool,) for found in (await store.list(kind)).objects]
    expected = {(type(found).KIND, found.name): found.revision for found in listed}
    await watcher.until(lambda: watcher.objects == expected)


async def change(store: Store, times: int = 3) -> None:
    """Create, change and delete a few pools."""
    for n in range(times):
        made = await store.create(pool(f"p{n}", n))
        await store.update(made.with_spec(disabled=True))
    await store.delete(await store.get(IPPool, "p0"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have silence noticed and tries repeated soon."""
    monkeypatch.setattr(http2, "PING_AFTER_SECONDS", 0.2)
    monkeypatch.setattr(http2, "LOST_AFTER_SECONDS", 1.0)
    monkeypatch.setattr(client, "HEADERS_SECONDS", 2.0)
    monkeypatch.setattr(watch_stream, "SILENT_SECONDS", 2.0)
    monkeypatch.setattr(watch_stream, "LONGEST_PAUSE_SECONDS", 0.5)


async def test_everything_there_is_comes_first_then_changes(bed: Bed, tmp_path: Path) -> None:
    async with watched(bed, tmp_path) as (_, store, watcher):
        await watcher.until(lambda: watcher.in_sync)
        await change(store)
        await same_as_listed(store, watcher)


@pytest.mark.parametrize("form", ["status", "event"])
async def test_a_server_without_streaming_lists_is_listed_by_pages(
    bed: Bed, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_stream, "PAGE_SIZE", 2)
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        proxy.faults.refuse_streaming_lists = form
        writer, reader = bed.open(), KubeStore(proxy.access)
        for n in range(5):
            await writer.create(pool(f"old{n}", 100 + n))
        watcher = Watcher(reader, IPPool)
        await watcher.until(lambda: watcher.in_sync)
        assert len(watcher.objects) == 5
        assert sum("limit=2" in request for request in proxy.requests) == 3
        await change(writer)
        await same_as_listed(writer, watcher)
        await reader.close()
        await writer.close()
        await watcher.task


def truncate(proxy: FaultyProxy) -> None:
    proxy.truncate_watches()


def cut(proxy: FaultyProxy) -> None:
    proxy.cut()


def silence(proxy: FaultyProxy) -> None:
    proxy.go_silent()


def expire_by_status(proxy: FaultyProxy) -> None:
    proxy.faults.expire_watches = "status"
    proxy.cut()


def expire_by_event(proxy: FaultyProxy) -> None:
    proxy.faults.expire_watches = "event"
    proxy.cut()


def repeat(proxy: FaultyProxy) -> None:
    proxy.faults.repeat_events = True


def too_many(proxy: FaultyProxy) -> None:
    proxy.faults.too_many_requests = 2
    proxy.cut()


def never_answer(proxy: FaultyProxy) -> None:
    proxy.faults.never_answer = 1
    proxy.cut()


def fall_asleep(proxy: FaultyProxy) -> None:
    proxy.fall_asleep()


FAULTS = [truncate, cut, silence, never_answer, fall_asleep, expire_by_status, expire_by_event, repeat, too_many]


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_fault_it_has_reported_what_a_list_returns(
    bed: Bed, tmp_path: Path, fault: Callable[[FaultyProxy], None]
) -> None:
    async with watched(bed, tmp_path) as (proxy, store, watcher):
        await store.create(pool("first", 200))
        await same_as_listed(store, watcher)
        fault(proxy)
        await change(store)
        await same_as_listed(store, watcher)
        await store.delete(await store.get(IPPool, "first"))
        await same_as_listed(store, watcher)


async def test_what_went_while_the_stream_was_away_is_reported_as_gone(bed: Bed, tmp_path: Path) -> None:
    async with watched(bed, tmp_path) as (proxy, store, watcher):
        await change(store)
        await same_as_listed(store, watcher)
        expire_by_event(proxy)
        for found in (await store.list(IPPool)).objects:
            await store.delete(found)
        await same_as_listed(store, watcher)
        assert watcher.objects == {}


async def test_a_kind_that_is_held_up_holds_up_no_other(bed: Bed, tmp_path: Path) -> None:
    async with watched(bed, tmp_path, IPPool, BGPPeer) as (proxy, store, watcher):
        await watcher.until(lambda: watcher.in_sync)
        proxy.faults.hold_watches_of.add("ippools")
        await store.create(pool("a"))
        await store.create(BGPPeer.make("b", peer_ip="192.0.2.9", as_number=64512))
        await watcher.until(lambda: ("BGPPeer", "b") in watcher.objects)
        assert ("IPPool", "a") not in watcher.objects
        proxy.release()
        await same_as_listed(store, watcher, IPPool, BGPPeer)


async def test_a_restarted_server_is_found_again(bed: Bed, tmp_path: Path) -> None:
    async with watched(bed, tmp_path) as (_, store, watcher):
        await change(store)
        await same_as_listed(store, watcher)
        await asyncio.to_thread(bed.control_plane.restart_api_server)
        for n in range(10, 13):
            await store.create(pool(f"p{n}", n))
        await same_as_listed(store, watcher)


def as_deep_text(record: dict[str, Any], levels: int) -> bytes:
    """Return a record as JSON with a list of this depth in its spec; json itself refuses to write that."""
    text = json.dumps(record | {"spec": record["spec"] | {"deep": "HERE"}})
    return text.replace('"HERE"', "[" * levels + "]" * levels).encode()


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("spec", [{"blockSize": 99}, None], ids=["invalid", "deep"])
async def test_a_record_that_cannot_be_read_is_named_and_stops_nothing(
    bed: Bed, tmp_path: Path, spec: dict[str, Any] | None, streaming: bool
) -> None:
    record = pool("bad").to_json()
    text = as_deep_text(record, 5000) if spec is None else json.dumps(record | {"spec": record["spec"] | spec}).encode()
    await bed.put(IPPool, text)
    async with watched(bed, tmp_path) as (proxy, store, watcher):
        proxy.faults.refuse_streaming_lists = "" if streaming else "status"
        await store.create(pool("good", 1))
        await watcher.until(lambda: ("IPPool", "good") in watcher.objects)
        assert ("IPPool", "bad") not in watcher.objects
        [reason] = watcher.unreadable
        assert "IPPool" in reason and ("blockSize" in reason or "too deeply" in reason)
        await bed.put(IPPool, text.replace(b'"bad"', b'"worse"'))
        await store.create(pool("better", 2))
        await watcher.until(lambda: ("IPPool", "better") in watcher.objects)
        await watcher.until(lambda: len(watcher.unreadable) == 2)
