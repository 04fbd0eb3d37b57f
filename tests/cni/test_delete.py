"""DEL at any time, with and without a datastore, and what is carried out afterwards."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cni import delete
from cni.attachment import Attachment
from cni.delete import log
from cni.journal import Journal
from cni.locks import container_key
from cni.pod_network import HOST_MAC
from datastore.backoff import JITTER, Backoff
from datastore.errors import Forbidden, Unavailable
from datastore.fields import Address
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from datastore.store import Changed, Write
from ipam.allocator import AddressesWanted
from ipam.errors import Contention
from kernel.links import Devices
from kernel.netns import inside
from tests.cni.memory import InMemory, in_memory
from tests.cni.node import NODE, on_a_node, serving_node, until
from tests.datastore.memory_store import MemoryStore

# Over fakes


async def test_a_del_takes_everything_away_and_may_be_repeated(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()
        for _ in range(3):
            await node.delete()
        assert await node.holds_nothing()


async def test_without_a_datastore_the_device_and_the_routes_go_and_the_release_is_journaled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()
        node.switch.away = True
        with caplog.at_level("WARNING", log.name):
            await node.delete()
        assert "journaled, to be done when the datastore is back" in caplog.text
        assert (node.attacher.attached, node.devices.made) == ({}, {})
        assert [pending.attachment.container_id for pending in node.journal.pending] == ["c1"]
        with pytest.raises(Unavailable):
            await node.cleanup.release_journaled("c1")
        node.switch.away = False
        await node.cleanup.release_journaled("c1")
        assert node.journal.pending == ()
        assert await node.holds_nothing()


async def test_what_is_not_taken_for_the_clusters_datastore_is_released_in_later(tmp_path: Path) -> None:
    """It may hold nothing of the pod: what is released there would stay assigned in the cluster's own."""
    async with in_memory(tmp_path) as node:
        await node.add()
        node.held_back = "the datastore has another cluster"
        await node.delete()
        assert (node.attacher.attached, node.devices.made) == ({}, {})
        assert [pending.attachment.container_id for pending in node.journal.pending] == ["c1"]
        with pytest.raises(Unavailable, match="another cluster"):
            await node.cleanup.release_journaled("c1")
        assert await node.addresses()
        node.held_back = ""
        await node.cleanup.release_journaled("c1")
        assert await node.holds_nothing()


async def test_what_another_clusters_datastore_lacked_by_the_end_of_a_release_is_released_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()

        async def meet_another_cluster(*asked: object, **more: object) -> list[Address]:
            node.held_back = "the datastore has another cluster"
            return []

        with monkeypatch.context() as patched:
            patched.setattr(node.allocator, "release_handle", meet_another_cluster)
            await node.delete()
        assert [pending.attachment.container_id for pending in node.journal.pending] == ["c1"]
        node.held_back = ""
        await node.cleanup.release_journaled("c1")
        assert await node.holds_nothing()


async def test_a_del_that_was_noted_asks_the_datastore_nothing_before_its_release_from_the_journal(
    tmp_path: Path,
) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()
        node.switch.calls_left = 7
        await node.take_up()
        assert node.switch.calls_left == 7
        assert not node.attacher.attached
        assert not node.devices.made
        node.switch.calls_left = None
        assert len(await node.addresses()) == 1
        await node.cleanup.release_journaled("c1")
        assert await node.holds_nothing()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the clean-up makes, in seconds; it waits for a thousandth of each."""
    made: list[float] = []

    class Hasty(Backoff):
        def next(self) -> float:
            made.append(super().next())
            return made[-1] / 1000

    monkeypatch.setattr(delete, "Backoff", Hasty)
    return made


def are_about(pauses: Sequence[float], least: Sequence[float]) -> bool:
    return all(low <= pause <= low * (1 + JITTER) for pause, low in zip(pauses, least, strict=False))


async def test_the_journal_is_tried_more_rarely_while_nothing_of_it_can_be_carried_out(
    tmp_path: Path, pauses: list[float]
) -> None:
    async with in_memory(tmp_path) as node:
        cleaning = asyncio.create_task(node.cleanup.run())
        for _ in range(2):  # what was carried out lets the next one begin anew
            pauses.clear()
            await node.add()
            node.switch.away = True
            await node.delete()
            await until(lambda: len(pauses) > 4)
            node.switch.away = False
            await until(lambda: not node.journal.pending)
            assert are_about(pauses, (1, 2, 2, 2, 2))
        cleaning.cancel()


async def test_a_journal_that_is_refused_is_tried_more_rarely_than_one_whose_datastore_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()
        node.switch.away = True
        await node.delete()
        node.switch.away = False

        async def refuse(*_: Write) -> Any:
            raise Forbidden("write on its pod: the role of this account lacks it (403)")

        monkeypatch.setattr(node.store, "write", refuse)
        cleaning = asyncio.create_task(node.cleanup.run())
        await until(lambda: len(pauses) > 4)
        assert are_about(pauses, (1, 2, 4, 8, 8))
        cleaning.cancel()


async def test_without_a_datastore_a_late_del_leaves_the_newer_containers_routes(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await node.add("old")
        await node.add("new")
        node.switch.away = True
        await node.delete("old")
        [(endpoint, _)] = node.attacher.attached.values()
        assert endpoint.spec.container_id == "new"


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("other", [{"name": "net-b"}, {"device": "net1"}, {"container": "c2"}])
async def test_a_del_of_what_is_not_there_changes_nothing(tmp_path: Path, away: bool, other: dict[str, Any]) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()
        before = await node.endpoints(), await node.addresses(), node.attacher.attached, node.devices.made
        node.switch.away = away
        await node.delete(**other)
        node.switch.away = False
        await node.cleanup.release_journaled(other.get("container", "c1"))
        assert (await node.endpoints(), await node.addresses()) == before[:2]
        assert len(node.attacher.attached) == len(node.devices.made) == 1
        await node.delete()
        assert await node.holds_nothing()


async def test_a_del_does_not_release_a_container_that_is_called_as_old_releases_called_a_handle(
    tmp_path: Path,
) -> None:
    async with in_memory(tmp_path) as node:
        await node.add("web-1", "web-1", name="default")  # its handle is default.web-1
        await node.delete("web-1", "web-1", name="net-b")
        assert len(await node.addresses()) == 1


@pytest.mark.parametrize(("holder", "retired"), [(None, True), ("c1", True), ("another", False)])
async def test_an_unlabelled_device_is_retired_unless_its_pod_is_another_containers(
    tmp_path: Path, holder: str | None, retired: bool
) -> None:
    """A device without our label is Calico's, or of an ADD that was killed before it could label it."""
    async with in_memory(tmp_path) as node:
        if holder:
            await node.add(holder)
            node.devices.made.clear()
        node.devices.unlabelled = {"cali0761ccbeace"}
        await node.delete("c1")
        assert (node.devices.unlabelled == set()) == retired


@pytest.mark.parametrize(("holder", "retired"), [(None, False), ("c1", True), ("another", False)])
async def test_a_noted_del_retires_an_unlabelled_device_only_if_the_endpoint_known_is_its_containers(
    tmp_path: Path, holder: str | None, retired: bool
) -> None:
    """A runtime may add the same container again, in the namespace that has the other end of that device."""
    async with in_memory(tmp_path) as node:
        if holder:
            await node.add(holder)
            [endpoint] = await node.endpoints()
            node.known.observe(Changed(endpoint))
            node.devices.made.clear()
        node.devices.unlabelled = {"cali0761ccbeace"}
        await node.take_up("c1")
        assert (node.devices.unlabelled == set()) == retired


async def test_what_the_background_work_finds_it_deletes_and_releases(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()
        node.switch.away = True
        await node.delete()
        node.switch.away = False
        cleaning = asyncio.create_task(node.cleanup.run())
        await until(lambda: not node.journal.pending and not node.devices.retired)
        cleaning.cancel()
        assert await node.holds_nothing()


@pytest.mark.parametrize("kind", [WorkloadEndpoint, IPAMHandle])
async def test_a_record_that_cannot_be_read_keeps_no_pod_alive(
    tmp_path: Path, kind: type[Resource], caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    async with in_memory(tmp_path, store) as node:
        await node.add()
        await node.add("c2", "web-2")
        await node.delete("c2", "web-2")
        [record] = (await store.list(kind)).objects
        store.spoil(record)
        node = InMemory(store, tmp_path)  # which has written nothing, so it has to read
        with caplog.at_level("WARNING"):
            await node.delete()
        assert record.name in caplog.text
        assert store.unreadable == ()
        assert node.journal.pending == ()
        assert await node.holds_nothing()


async def test_an_endpoint_that_cannot_be_read_stays_for_the_newer_container(tmp_path: Path) -> None:
    store = MemoryStore()
    async with in_memory(tmp_path, store) as node:
        await node.add("old")
        await node.add("new")
        [endpoint] = await node.endpoints()
        store.spoil(endpoint)
        await node.delete("old")
        assert [one.name for one in store.unreadable] == [endpoint.name]
        assert len(node.attacher.attached) == len(node.devices.made) == len(await node.addresses()) == 1
        await node.delete("new")
        assert not list(store.unreadable)
        assert await node.holds_nothing()


async def test_a_block_that_cannot_be_read_keeps_its_addresses_and_no_pod_alive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    async with in_memory(tmp_path, store) as node:
        await node.add()
        [block] = (await store.list(IPAMBlock)).objects
        store.spoil(block)
        with caplog.at_level("WARNING", log.name):
            await node.delete()
        assert "stays assigned, and is collected when the record can be read" in caplog.text
        left = await node.endpoints(), node.attacher.attached, node.devices.made, node.journal.pending
        assert left == ([], {}, {}, ())


async def test_a_del_of_a_pod_from_before_a_restart_reads_no_handle(tmp_path: Path) -> None:
    store = MemoryStore(atomic=False)
    async with in_memory(tmp_path, store) as before:
        await before.add()
        node = InMemory(store, tmp_path)
        await node.allocator.adopt(NODE)
        store.calls.clear()
        await node.delete()
        asked = {what: count for what, count in store.calls.items() if what.endswith(("IPAMBlock", "IPAMHandle"))}
        assert asked == {"write IPAMBlock": 1, "write IPAMHandle": 1}
        assert await node.addresses() == []


async def test_an_address_of_which_only_the_block_was_written_goes_with_its_del(tmp_path: Path) -> None:
    store = MemoryStore(atomic=False)
    async with in_memory(tmp_path, store) as before:
        await before.add()
        [handle] = (await store.list(IPAMHandle)).objects
        await store.delete(handle)  # as if the agent had been killed before it was written
        node = InMemory(store, tmp_path)
        await node.allocator.adopt(NODE)
        await node.delete()
        assert await node.addresses() == []


async def test_a_del_reads_nothing_that_the_watch_has_reported(tmp_path: Path) -> None:
    store = MemoryStore()
    async with in_memory(tmp_path, store) as node:
        await node.add()
        [endpoint] = await node.endpoints()
        node.known.observe(Changed(endpoint))
        store.calls.clear()
        await node.delete()
        assert [kind for kind in (WorkloadEndpoint, IPAMHandle, IPAMBlock) if store.calls[f"get {kind.KIND}"]] == []
        assert await node.holds_nothing()


@pytest.mark.parametrize("gone", [False, True])
async def test_a_watch_that_lags_behind_lets_a_del_take_nothing_of_a_newer_container(
    tmp_path: Path, gone: bool
) -> None:
    async with in_memory(tmp_path) as node:
        await node.add("old")
        [endpoint] = await node.endpoints()
        if gone:
            await node.store.delete(endpoint)
        else:
            await node.add("new")
        node.known.observe(Changed(endpoint))
        await node.delete("old")
        assert [one.spec.container_id for one in await node.endpoints()] == ([] if gone else ["new"])
        assert len(await node.addresses()) == (0 if gone else 1)


# In real namespaces


@on_a_node
async def test_a_del_may_come_at_any_time_and_any_number_of_times(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.delete(pod)
        await node.add(pod)
        for netns in ("/run/netns/gone", "", pod.path):
            await node.delete(pod, CNI_NETNS=netns)
        assert await node.holds_nothing()


@pytest.mark.parametrize("held", [True, False], ids=["its namespace is named", "the runtime names none"])
@on_a_node
async def test_the_name_in_the_container_is_free_when_a_del_answers(shim: Path, tmp_path: Path, held: bool) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        for _ in range(3):
            await node.add(pod)
            await node.delete(pod, CNI_NETNS=pod.path if held else "")
            with inside(pod.netns), closing(Devices()) as devices:
                link = devices.create_veth("eth0", pod.netns, "other", HOST_MAC)
                devices.delete(link.index)
        assert await node.holds_nothing()


@on_a_node
async def test_a_del_with_another_containers_namespace_leaves_that_ones_device(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod, other = node.sandbox(), node.sandbox()
        await node.add(pod)
        result = await node.add(other)
        await node.delete(pod, CNI_NETNS=other.path)
        assert await node.add(other) == result


@on_a_node
async def test_a_late_del_of_the_old_sandbox_does_not_touch_the_new_one(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        old, new = node.sandbox("db-0"), node.sandbox("db-0")
        await node.add(old)
        result = await node.add(new)
        await node.delete(old)
        assert await node.assigned(old) == set()
        assert await node.host_routes() == {result["ips"][0]["address"]}
        assert [one.spec.container_id for one in await node.endpoints()] == [new.container]
        assert await node.add(new) == result


@on_a_node
async def test_a_del_for_a_device_we_did_not_make_touches_nothing(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        result = await node.add(pod)
        await node.delete(pod, CNI_IFNAME="net1")
        assert await node.add(pod) == result


@on_a_node
async def test_a_del_knows_its_device_without_the_pods_name(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        await node.delete(pod, CNI_ARGS="")
        await node.verbs.cleanup.delete_retired()
        assert node.devices() == set()
        assert await node.assigned(pod) == set()


@on_a_node
async def test_a_del_releases_the_handle_of_old_releases_too(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox("old-1")
        await node.allocator.assign(AddressesWanted(NODE, "default.old-1"))
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_a_del_without_a_datastore_succeeds_and_is_carried_out_later(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod, other = node.sandbox(), node.sandbox()
        await node.add(pod)
        await node.add(other)
        node.switch.away = True
        await node.delete(pod)
        await node.delete(pod)
        assert len(node.journal.pending) == 1
        assert node.verbs.pending_handles() == {f"k8s-pod-network.{pod.container}"}
        assert len(await node.host_routes()) == 1
        assert await node.assigned(pod)
        cleaning = asyncio.create_task(node.clean_up())
        node.switch.away = False
        await cleaning
        await node.delete(other)
        assert await node.holds_nothing()


@on_a_node
async def test_a_journaled_del_outlives_the_agent(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        node.switch.away = True
        await node.delete(pod)
    async with serving_node(shim, tmp_path, url=f"sqlite://{tmp_path}/cluster.db") as node:
        assert len(node.journal.pending) == 1
        await node.clean_up()
        assert Journal(tmp_path / "released.journal").pending == ()
        assert await node.holds_nothing()


@on_a_node
async def test_a_container_that_returns_after_a_journaled_del_is_released_first(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        await node.delete_without_datastore(pod)
        result = await node.add(pod)
        assert node.journal.pending == ()
        assert await node.assigned(pod) == {result["ips"][0]["address"].removesuffix("/32")}


@on_a_node
async def test_a_journaled_del_never_takes_the_address_of_the_container_that_returned(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        await node.delete_without_datastore(pod)
        release = node.serving.release_handle
        begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slowly(handle: str, expected: Collection[Address] = ()) -> Any:
            if begun.is_set():
                return await release(handle, expected)
            begun.set()
            await go_on.wait()
            released = await release(handle, expected)
            ended.set()
            return released

        monkeypatch.setattr(node.serving, "release_handle", slowly)
        cleaning = asyncio.create_task(node.verbs.cleanup.run())
        await begun.wait()
        adding = asyncio.create_task(node.add(pod))
        key = container_key(Attachment("k8s-pod-network", pod.container, "eth0"))
        await until(lambda: node.verbs.locks.users(key) == 2)  # the ADD waits for the release
        go_on.set()
        result, _ = await asyncio.gather(adding, ended.wait())
        cleaning.cancel()
        assert await node.assigned(pod) == {result["ips"][0]["address"].removesuffix("/32")}


@on_a_node
async def test_a_journal_that_cannot_be_written_delays_what_is_journaled_and_ends_nothing(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod, other = node.sandbox(), node.sandbox()
        await node.add(pod)
        await node.add(other)
        await node.delete_without_datastore(pod, other)
        tried = asyncio.Event()

        def full(done: object) -> None:
            tried.set()
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(node.journal, "remove", full)
            error = await node.refused(pod.environment("ADD"))
            assert (error["code"], "No space left on device" in error["msg"]) == (11, True)
            tried.clear()
            cleaning = asyncio.create_task(node.verbs.cleanup.run())
            await tried.wait()
            assert not cleaning.done()
        await until(lambda: not node.journal.pending)
        cleaning.cancel()
        assert await node.holds_nothing()


@on_a_node
async def test_a_journaled_del_that_cannot_be_carried_out_holds_up_no_other(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_node(shim, tmp_path) as node:
        stuck, pod = node.sandbox(), node.sandbox()
        for one in (stuck, pod):
            await node.add(one)
        await node.delete_without_datastore(stuck, pod)
        release = node.serving.release_handle

        async def refuse(handle: str, expected: Collection[Address] = ()) -> Any:
            if handle.endswith(stuck.container):
                raise Contention("release: lost every race")
            return await release(handle, expected)

        monkeypatch.setattr(node.serving, "release_handle", refuse)
        cleaning = asyncio.create_task(node.verbs.cleanup.run())
        await until(lambda: len(node.journal.pending) == 1)
        cleaning.cancel()
        assert node.journal.pending_of(stuck.container)
        assert not await node.assigned(pod)


@on_a_node
async def test_a_del_that_can_neither_release_nor_journal_says_so(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Journal, owed: object) -> None:
        raise OSError(28, "No space left on device")

    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        monkeypatch.setattr(Journal, "add", full)
        node.switch.away = True
        error = await node.refused(pod.environment("DEL"))
        assert error["code"] == 11
        assert "No space left" in error["msg"]
        node.switch.away = False
        await node.delete(pod)
        assert await node.holds_nothing()


async def test_a_second_del_asks_the_datastore_nothing_until_the_container_returns(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await node.add()
        await node.delete()
        node.switch.away = True
        await node.delete()
        assert node.journal.pending == ()
        node.switch.away = False
        await node.add()
        await node.delete()
        assert await node.holds_nothing()
