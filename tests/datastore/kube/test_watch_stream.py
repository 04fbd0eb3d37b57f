"""A watch through whatever a network and a server do to it: afterwards it has reported what a list returns."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from datastore.errors import Forbidden
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.pools import IPPool
from datastore.kinds.secret import Secret
from datastore.kube import client, http2, listing, watch_pauses, watch_stream
from datastore.kube.access import read_access
from datastore.kube.store import KubeStore
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Interest, Store, Unreadable
from tests.kube.bed import Bed
from tests.kube.control_plane import kubeconfig, running
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy
from tests.kube.h2_server import H2Server, Request, serving

PATIENCE_SECONDS = 30.0
LOST_AFTER_SECONDS = http2.LOST_AFTER_SECONDS  # as released: see `impatient`
LONGEST_PAUSE_SECONDS = watch_pauses.LONGEST_PAUSE_SECONDS


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
    monkeypatch.setattr(watch_pauses, "LONGEST_PAUSE_SECONDS", 2.0)


@pytest.fixture
def patient(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server be silent for as long as one may be that is starting on a busy machine."""
    monkeypatch.setattr(http2, "LOST_AFTER_SECONDS", LOST_AFTER_SECONDS)


async def test_everything_there_is_comes_first_then_changes(bed: Bed, tmp_path: Path) -> None:
    async with watched(bed, tmp_path) as (_, store, watcher):
        await watcher.until(lambda: watcher.in_sync)
        await change(store)
        await same_as_listed(store, watcher)


@pytest.mark.parametrize("form", ["status", "event"])
async def test_a_server_without_streaming_lists_is_listed_by_pages(
    bed: Bed, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 2)
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
@pytest.mark.parametrize("spec", [{"cidr": "169.254.0.0/16"}, None], ids=["invalid", "deep"])
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
        assert "IPPool" in reason and ("link-local" in reason or "too deeply" in reason)
        await bed.put(IPPool, text.replace(b'"bad"', b'"worse"'))
        await store.create(pool("better", 2))
        await watcher.until(lambda: ("IPPool", "better") in watcher.objects)
        await watcher.until(lambda: len(watcher.unreadable) == 2)


Answer = Callable[[Request], Awaitable[None]]


@asynccontextmanager
async def watching_a_server(folder: Path, answer: Answer) -> AsyncIterator[tuple[H2Server, Watcher, list[str]]]:
    """A watcher of a server whose every answer to a watch the test decides, and what it asked."""
    asked: list[str] = []

    async def handle(request: Request) -> None:
        if request.path == "/apis":
            await request.answer(200, b'{"groups": [{"name": "crd.projectcalico.org"}]}')
            return
        asked.append(request.path)
        await answer(request)

    async with serving(handle) as server:
        path = folder / "kubeconfig"
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        store = KubeStore(lambda: read_access(str(path)))
        watcher = Watcher(store, IPPool)
        try:
            yield server, watcher, asked
        finally:
            await store.close()
            await watcher.task


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 (nothing tells when)
            await asyncio.sleep(0.05)


def bookmark(revision: int) -> bytes:
    annotations = {"k8s.io/initial-events-end": "true"}
    metadata = {"resourceVersion": str(revision), "annotations": annotations}
    return json.dumps({"type": "BOOKMARK", "object": {"metadata": metadata}}).encode() + b"\n"


async def say_what_there_is(request: Request) -> None:
    """Answer with an empty list where one is asked for, and with nothing more."""
    request.begin(200)
    if "sendInitialEvents" in request.path:
        await request.send(bookmark(7))
    await request.wait()


async def test_a_server_that_once_refused_to_send_a_list_in_a_stream_is_asked_for_one_again(tmp_path: Path) -> None:
    """It answers 500 where it has none, and just so where it only failed."""
    failed = expired = False

    async def answer(request: Request) -> None:
        nonlocal failed, expired
        if not failed:
            failed = True
            await request.answer(500, b"{}")
        elif "watch=1" not in request.path:
            await request.answer(200, b'{"metadata": {"resourceVersion": "7"}, "items": []}')
        elif not expired:
            expired = True
            await request.answer(410, b"{}")
        else:
            await say_what_there_is(request)

    async with watching_a_server(tmp_path, answer) as (_, watcher, asked):
        await watcher.until(lambda: watcher.in_sync)
        await eventually(lambda: len(asked) == 4)
    assert ["sendInitialEvents" in path for path in asked] == [True, False, False, True]


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("change", ["none", "time", "connection"])
async def test_a_server_that_has_no_lists_in_streams_is_asked_for_one_again_after_long_or_a_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, change: str
) -> None:
    if change == "time":
        monkeypatch.setattr(watch_stream, "BY_PAGES_SECONDS", 0.0)
    watches = 0

    async def answer(request: Request) -> None:
        nonlocal watches
        if "sendInitialEvents" in request.path:
            await request.answer(status, b"{}")
        elif "watch=1" not in request.path:
            await request.answer(200, b'{"metadata": {"resourceVersion": "7"}, "items": []}')
        else:
            watches += 1
            if watches == 1 and change == "connection":
                request.cut()
            elif watches <= (2 if change == "connection" else 1):
                await request.answer(410, b"{}")
            else:
                await say_what_there_is(request)

    last = 3 if change == "connection" else 2
    async with watching_a_server(tmp_path, answer) as (_, watcher, asked):
        await watcher.until(lambda: watcher.in_sync)
        await eventually(lambda: watches == last)
    assert sum("sendInitialEvents" in path for path in asked) == (1 if change == "none" else 2)
    assert sum("watch=1" not in path for path in asked) == 2


@pytest.mark.parametrize("status", [200, 410])
async def test_a_server_that_ends_each_watch_at_once_is_asked_ever_more_seldom(tmp_path: Path, status: int) -> None:
    """Without a pause it would be thousands of times a second, and a list each time."""
    times: list[float] = []

    async def end(request: Request) -> None:
        times.append(asyncio.get_running_loop().time())
        if "sendInitialEvents" in request.path:
            await request.answer(200, bookmark(7))
        else:
            await request.answer(status, b"")

    async with watching_a_server(tmp_path, end) as (_, watcher, _):
        await watcher.until(lambda: watcher.in_sync)
        await eventually(lambda: len(times) > 4)
    shortest = sum(watch_pauses.FIRST_PAUSE_SECONDS * 2**n / 2 for n in range(4))
    assert times[4] - times[0] >= shortest


async def test_a_watch_that_is_refused_for_a_time_is_asked_for_after_it(tmp_path: Path) -> None:
    times: list[float] = []

    async def refuse(request: Request) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            await request.answer(429, b"{}", retry_after="1")
            return
        await say_what_there_is(request)

    async with watching_a_server(tmp_path, refuse) as (_, watcher, _):
        await watcher.until(lambda: watcher.in_sync)
    assert times[1] - times[0] >= 1.0


@pytest.mark.parametrize(
    ("status", "longest"),
    [(429, LONGEST_PAUSE_SECONDS), (503, watch_pauses.LONGEST_NOT_NOW_SECONDS)],
    ids=["too many", "not now"],
)
async def test_only_a_server_that_sheds_no_load_is_asked_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, longest: float
) -> None:
    pauses: list[float] = []

    class Noted(watch_pauses.WatchPauses):
        def after(self, failure: watch_pauses.Failure, retry_after_seconds: float = 0.0) -> float:
            pauses.append(super().after(failure, retry_after_seconds))
            return 0.0

    monkeypatch.setattr(watch_stream, "WatchPauses", partial(Noted, lambda: 0.5))
    monkeypatch.setattr(watch_pauses, "LONGEST_PAUSE_SECONDS", LONGEST_PAUSE_SECONDS)

    async def refuse(request: Request) -> None:
        if len(pauses) < 40:
            await request.answer(status, b"{}")
            return
        await say_what_there_is(request)

    async with watching_a_server(tmp_path, refuse) as (_, watcher, _):
        await watcher.until(lambda: watcher.in_sync)
    assert max(pauses) == longest


async def test_a_watch_that_brings_nothing_not_even_bookmarks_is_begun_from_the_whole(tmp_path: Path) -> None:
    """A server that was set back to a backup is silent about revisions that it has not reached again."""

    async with watching_a_server(tmp_path, say_what_there_is) as (_, watcher, asked):
        await watcher.until(lambda: watcher.in_sync)
        await eventually(lambda: len(asked) > 1)
    assert all("sendInitialEvents" in path for path in asked)


async def test_a_quiet_kind_says_that_it_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async with watching_a_server(tmp_path, say_what_there_is) as (server, watcher, _):
        await watcher.until(lambda: watcher.in_sync)
        server.cut()
        await eventually(lambda: "watch ippools: it is back" in caplog.text)


async def test_an_object_larger_than_the_windows_arrives(bed: Bed, tmp_path: Path) -> None:
    async with watched(bed, tmp_path) as (_, store, watcher):
        await watcher.until(lambda: watcher.in_sync)
        made = await store.create(pool("large").with_metadata(annotations={"a": "x" * 250_000}))
        text = json.dumps(pool("larger", 1).to_json() | {"status": {"conditions": []}})
        await bed.put(IPPool, text.replace('"spec": {', '"spec": {"note": "' + "y" * 1_200_000 + '", ').encode())
        await watcher.until(lambda: {("IPPool", "large"), ("IPPool", "larger")} <= watcher.objects.keys())
        assert watcher.objects["IPPool", "large"] == made.revision


async def test_a_reader_that_stops_for_a_while_holds_up_nobody_and_misses_nothing(bed: Bed, tmp_path: Path) -> None:
    writer = bed.open()
    made = await writer.create(pool("p"))
    reader = KubeStore(bed.access)
    watch = reader.watch(IPPool)
    while not isinstance(await anext(watch), InSync):
        pass
    for n in range(60):  # more than a stream's window and what the server keeps for a slow client
        made = await writer.update(made.with_metadata(annotations={"n": str(n), "a": "x" * 100_000}))
        assert await reader.get(IPPool, "p") == made
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await anext(watch) != Changed(made):
            pass
    await reader.close()
    await writer.close()
    assert await anext(watch, None) is None


async def test_a_server_that_is_told_to_end_is_left_and_its_successor_found(bed: Bed, patient: None) -> None:
    writer, reader = bed.open(), KubeStore(bed.access)
    watcher = Watcher(reader, IPPool)
    await writer.create(pool("before"))
    await same_as_listed(writer, watcher)
    await asyncio.to_thread(bed.control_plane.restart_api_server, in_order=True)
    await writer.create(pool("after", 1))
    await same_as_listed(writer, watcher)
    await reader.close()
    await writer.close()
    await watcher.task


async def test_a_server_that_keeps_sending_clients_away_is_watched_all_the_same(tmp_path: Path, patient: None) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    with running(folder, ("--goaway-chance=0.02",)) as control_plane:
        own = Bed(control_plane)
        await own.install_definitions()
        writer, reader = own.open(), KubeStore(own.access)
        watcher = Watcher(reader, IPPool)
        made = await writer.create(pool("p"))
        for n in range(300):  # six times sent away, as an average
            made = await writer.update(made.with_metadata(annotations={"n": str(n)}))
        await same_as_listed(writer, watcher)
        await reader.close()
        await writer.close()
        await watcher.task


@pytest.mark.long
async def test_a_cluster_that_was_set_back_to_a_backup_is_read_anew(tmp_path: Path, patient: None) -> None:
    """Its revisions begin again where the backup was, far behind the one that the watch asks for."""
    folder = tmp_path / "own"
    folder.mkdir()
    with running(folder) as control_plane:
        own = Bed(control_plane)
        await own.install_definitions()
        writer, reader = own.open(), KubeStore(own.access)
        await writer.create(pool("kept"))

        def restart(copied: Path, over: Path) -> None:
            control_plane.stop()
            shutil.rmtree(over, ignore_errors=True)
            shutil.copytree(copied, over)
            control_plane.etcd.start()
            control_plane.api_server.start()
            control_plane.wait_until_ready()

        await asyncio.to_thread(restart, folder / "etcd", tmp_path / "backup")
        watcher = Watcher(reader, IPPool)
        for n in range(1, 40):
            await writer.create(pool(f"p{n}", n))
        await same_as_listed(writer, watcher)
        await asyncio.to_thread(restart, tmp_path / "backup", folder / "etcd")
        await watcher.until(lambda: {name for _, name in watcher.objects} == {"kept"})
        await same_as_listed(writer, watcher)
        await reader.close()
        await writer.close()
        await watcher.task


@pytest.mark.parametrize("at_first", [True, False], ids=["from the start", "later"])
async def test_a_watch_of_one_object_by_name_ends_where_it_may_not_be_read(tmp_path: Path, at_first: bool) -> None:
    """At the start, and when it is begun again after it has worked."""
    refused = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": 'secrets "bgp" is forbidden'}
    begun: list[str] = []

    async def answer(request: Request) -> None:
        if request.path == "/apis":
            await request.answer(200, b'{"groups": [{"name": "crd.projectcalico.org"}]}')
            return
        begun.append(request.path)
        if at_first or len(begun) > 1:
            await request.answer(403, json.dumps(refused).encode())
            return
        request.begin(200)
        await request.send(bookmark(7))
        request.finish()

    async with serving(answer) as server:
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        store = KubeStore(lambda: read_access(str(path)))
        in_sync = False
        with pytest.raises(Forbidden, match=r'secrets "bgp" is forbidden.*\(403\)'):
            async for event in store.watch(Interest(Secret, namespace="kube-system", name="bgp")):
                in_sync = event == InSync()
        await store.close()
    assert in_sync is not at_first
    assert begun[0].startswith("/api/v1/namespaces/kube-system/secrets?fieldSelector=metadata.name%3Dbgp&watch=1")


async def test_a_watch_of_a_kind_that_may_not_be_read_waits_until_it_may(tmp_path: Path) -> None:
    forbidden = True

    async def answer(request: Request) -> None:
        nonlocal forbidden
        if forbidden:
            forbidden = False
            await request.answer(403, b'{"kind": "Status", "code": 403, "message": "no"}')
        else:
            await say_what_there_is(request)

    async with watching_a_server(tmp_path, answer) as (_, watcher, _):
        await watcher.until(lambda: watcher.in_sync)


async def test_a_watch_of_one_object_that_fails_is_tried_again_and_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [b'{"kind": "Status", "code": 500, "message": "the key is away"}'] * 2  # of the watch, and of a list

    async def answer(request: Request) -> None:
        if request.path == "/apis":
            await request.answer(200, b'{"groups": [{"name": "crd.projectcalico.org"}]}')
        elif failures:
            await request.answer(500, failures.pop())
        else:
            await request.answer(200, b'{"metadata": {"resourceVersion": "7"}, "items": []}')

    async with serving(answer) as server:
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        store = KubeStore(lambda: read_access(str(path)))
        async for event in store.watch(Interest(Secret, namespace="kube-system", name="bgp")):
            assert event == InSync()
            break
        await store.close()
    assert 'watch secrets "bgp": the key is away (500); it is tried again' in caplog.messages
