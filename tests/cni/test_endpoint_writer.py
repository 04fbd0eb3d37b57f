"""What is written on pods after the answer, in the moments before, between and instead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cni import endpoint_writer
from cni.attachment import Attachment
from cni.errors import CniError
from datastore.errors import Forbidden, Unavailable
from tests.cni.memory import InMemory, in_memory
from tests.cni.node import until
from tests.cni.pod_store import PodStore

ATTACHMENT = Attachment("k8s-pod-network", "c1", "eth0")


async def at_once(_: float) -> None:
    """Return, as if no verb was being carried out."""


@asynccontextmanager
async def writing(node: InMemory) -> AsyncIterator[None]:
    task = asyncio.create_task(node.writer.run(at_once))
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def on_pods(folder: Path) -> AsyncIterator[tuple[InMemory, PodStore, str]]:
    """A node and the store of its pods; one is there, of this UID."""
    store = PodStore()
    async with in_memory(folder, store) as node:
        yield node, store, store.make_pod()


async def test_an_add_is_answered_before_its_pod_is_written_on_and_is_whole_by_then(tmp_path: Path) -> None:
    async with on_pods(tmp_path) as (node, store, uid):
        result = await node.add(uid=uid)
        assert store.written == []
        await node.check(result, uid=uid)
        await node.check(result)  # by a runtime that names no UID
        assert await node.add(uid=uid) == result
        async with writing(node):
            await until(lambda: node.writer.of(ATTACHMENT) is None)
        assert store.written == ["c1"]
        assert [str(one) for one in store.pod().spec.ip_networks] == [ip["address"] for ip in result["ips"]]
        await node.check(result, uid=uid)
        await node.delete(uid=uid)
        assert (store.pod().spec.ip_networks, await node.addresses()) == ((), [])


async def test_a_pod_has_one_attachment_and_a_second_changes_nothing_of_it(tmp_path: Path) -> None:
    async with on_pods(tmp_path) as (node, store, uid):
        result = await node.add(uid=uid)
        with pytest.raises(CniError, match=r"a pod has one attachment .* make network net-b the pod's") as no:
            await node.add(uid=uid, device="net1", name="net-b")
        assert no.value.code == 7
        await node.delete(uid=uid, device="net1", name="net-b")
        assert len(await node.addresses()) == 1
        async with writing(node):
            await until(lambda: node.writer.of(ATTACHMENT) is None)
        assert [str(one) for one in store.pod().spec.ip_networks] == [ip["address"] for ip in result["ips"]]
        await node.check(result, uid=uid)


async def test_a_del_before_that_leaves_nothing_to_be_written(tmp_path: Path) -> None:
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        await node.delete(uid=uid)
        assert (store.written, node.writer.of(ATTACHMENT)) == ([""], None)
        store.delete_pod()
        assert await node.holds_nothing()


async def test_a_del_meanwhile_waits_for_the_write_and_takes_it_back(tmp_path: Path) -> None:
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        store.open.clear()
        async with writing(node):
            await store.asked.wait()
            deleting = asyncio.create_task(node.delete(uid=uid))
            await until(lambda: node.writer.of(ATTACHMENT) is None)
            store.open.set()
            await deleting
        assert store.written == ["c1", ""]


@pytest.mark.parametrize("failure", [Unavailable("it is away"), Forbidden("its role lacks it")])
async def test_a_write_that_fails_is_repeated_and_its_pod_stays_attached(
    tmp_path: Path, failure: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(endpoint_writer, "FIRST_RETRY_SECONDS", 0.01)
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        store.refusal = failure
        async with writing(node):
            await until(lambda: caplog.text.count(str(failure)) > 1)
            assert len(node.attacher.attached) == 1
            store.refusal = None
            await until(lambda: node.writer.of(ATTACHMENT) is None)
        assert store.written == ["c1"]


@pytest.mark.parametrize(("failure", "last"), [(Unavailable("away"), 0.02), (Forbidden("its role lacks it"), 0.04)])
async def test_a_datastore_that_is_away_is_looked_for_more_often_than_one_that_refuses(
    tmp_path: Path, failure: Exception, last: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for pause, seconds in (("FIRST_RETRY_SECONDS", 0.01), ("AWAY_SECONDS", 0.02), ("LAST_RETRY_SECONDS", 0.04)):
        monkeypatch.setattr(endpoint_writer, pause, seconds)

    def pauses() -> list[float]:
        failed = (record.args for record in caplog.records if "next try" in record.msg)
        return [float(str(args[-1])) for args in failed if isinstance(args, tuple)]

    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        store.refusal = failure
        caplog.clear()
        async with writing(node):
            await until(lambda: len(pauses()) > 5)
    assert last <= max(pauses()) <= last * 1.1


async def test_what_waits_is_written_as_soon_as_something_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it would have waited: what kept it from being written may be over."""
    for pause in ("FIRST_RETRY_SECONDS", "LAST_RETRY_SECONDS", "AWAY_SECONDS"):
        monkeypatch.setattr(endpoint_writer, pause, 3600)
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        store.refusal = Unavailable("it is away")
        async with writing(node):
            await store.asked.wait()
            store.refusal = None
            await node.add("c2", "web-2", uid=store.make_pod("web-2"))
            await until(lambda: store.written == ["c2", "c1"])


async def test_a_store_that_is_not_the_clusters_is_not_believed_when_it_has_no_such_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(endpoint_writer, "FIRST_RETRY_SECONDS", 0.01)
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        whole = dict(store.objects)
        store.delete_pod()
        node.held_back = "nearly everything went at once"
        async with writing(node):
            await until(lambda: node.held_back in caplog.text)
            store.objects = whole
            node.held_back = ""
            await until(lambda: store.written == ["c1"])


async def test_a_later_pod_of_the_same_name_is_never_written_on(tmp_path: Path) -> None:
    """Neither by the ADD of the pod before it, nor by its DEL, which comes late."""
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        store.delete_pod()
        later = store.make_pod()
        async with writing(node):
            await until(lambda: node.writer.of(ATTACHMENT) is None)
            await node.delete(uid=uid)
            assert (store.written, await node.addresses(), node.attacher.attached) == ([], [], {})
            await node.add("c2", uid=later)
            await until(lambda: store.written == ["c2"])
            await node.delete("c1", uid=uid)
        assert store.pod().spec.container_id == "c2"
        assert len(node.attacher.attached) == 1


async def test_a_pod_that_was_deleted_before_it_was_written_on_leaves_nothing_after_its_del(tmp_path: Path) -> None:
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        store.delete_pod()
        async with writing(node):
            await until(lambda: node.writer.of(ATTACHMENT) is None)
        assert len(node.attacher.attached) == 1
        await node.delete(uid=uid)
        assert await node.holds_nothing()


async def test_the_newest_container_of_a_pod_is_written_last(tmp_path: Path) -> None:
    async with on_pods(tmp_path) as (node, store, uid):
        await node.add("c1", uid=uid)
        store.open.clear()
        async with writing(node):
            await store.asked.wait()
            await node.add("c2", uid=uid)
            store.open.set()
            await until(lambda: store.pod().spec.container_id == "c2")
            await node.delete("c1", uid=uid)
        assert store.written == ["c1", "c2"]


async def test_a_write_waits_for_verbs_but_not_for_ever(tmp_path: Path) -> None:
    never = asyncio.Event()
    waited = 0

    async def quiet_for(_: float) -> None:
        nonlocal waited
        assert store.written == ["c1"][:waited]
        waited += 1
        await never.wait()

    async with on_pods(tmp_path) as (node, store, uid):
        await node.add(uid=uid)
        await node.add("c2", "web-2", uid=store.make_pod("web-2"))
        task = asyncio.create_task(node.writer.run(quiet_for))
        await until(lambda: len(store.written) == 2)
        task.cancel()
    assert waited == 2


async def test_a_pod_that_is_not_known_by_its_uid_is_written_on_before_the_answer(tmp_path: Path) -> None:
    async with on_pods(tmp_path) as (node, store, _):
        store.spoil(store.pod())
        store.refusal = Unavailable("it is away")
        with pytest.raises(Unavailable):
            await node.add()
        assert (len(node.journal.pending), node.attacher.attached, node.devices.made) == (1, {}, {})
