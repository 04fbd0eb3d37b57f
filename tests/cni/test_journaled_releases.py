"""The journal once its datastore is back: how much is asked, in which order, and what is not to be missed by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cni import delete
from datastore.errors import Forbidden, Unavailable
from datastore.fields import Address
from datastore.kinds.ipam import IPAMHandle
from datastore.store import Write
from ipam.allocator import AddressesWanted
from ipam.names import legacy_pod_handle
from tests.cni.memory import InMemory, in_memory
from tests.cni.node import NODE, until
from tests.cni.pod_store import PodStore
from tests.cni.test_endpoint_writer import writing
from tests.datastore.memory_store import MemoryStore


class Listing:
    """Lists a store's handles, as they are when it is asked; then meanwhile is done, before it answers."""

    def __init__(self, store: MemoryStore) -> None:
        self.store, self.asked = store, 0
        self.meanwhile: Callable[[], Awaitable[None]] = self.nothing

    async def __call__(self, most: int) -> Collection[str]:
        self.asked += 1
        names = {handle.name for handle in (await self.store.list(IPAMHandle)).objects}
        await self.meanwhile()
        return names

    async def nothing(self) -> None: ...


async def carried_out(node: InMemory) -> None:
    """Return when nothing is left in the journal."""
    cleaning = asyncio.create_task(node.cleanup.run())
    await until(lambda: not node.journal.pending)
    cleaning.cancel()


@pytest.mark.parametrize("pods", [("web-0", "web-1", "web-2", "web-3"), ("web-0", "web-1", "web-1", "web-1")])
async def test_journaled_releases_are_carried_out_side_by_side_once_the_datastore_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pods: Sequence[str]
) -> None:
    """Also those of one pod, of which a kubelet made one sandbox after the other."""
    async with in_memory(tmp_path) as node:
        for number, pod in enumerate(pods):
            await node.add(f"c{number}", pod)
            await node.take_up(f"c{number}", pod)
        release, meeting, begun = node.allocator.release_handle, asyncio.Barrier(3), list[str]()

        async def wait_for_the_others(handle: str, expected: Collection[Address] = ()) -> list[Address]:
            begun.append(handle)
            if len(begun) > 1:  # the first is tried alone
                await meeting.wait()
            return await release(handle, expected)

        monkeypatch.setattr(node.allocator, "release_handle", wait_for_the_others)
        cleaning = asyncio.create_task(node.cleanup.run())
        await until(lambda: not node.journal.pending)  # one after the other, the second would wait for ever
        cleaning.cancel()
        assert await node.holds_nothing()


async def test_a_refused_container_costs_a_look_for_its_handle_when_the_datastore_is_back(tmp_path: Path) -> None:
    """And its pod two, by the first, which is tried alone, and by the others: what it is, and its old handle."""
    store, containers = PodStore(), [f"c{number}" for number in range(9)]
    async with in_memory(tmp_path, store) as node:
        uid = store.make_pod()
        await node.allocator.adopt(NODE)
        for container in containers:
            await node.take_up(container, uid=uid)
        store.calls.clear()
        await carried_out(node)
        asked = {"get IPAMHandle": len(containers) + 2, "get WorkloadEndpoint": 2}
        assert (store.calls, store.written) == (asked, [])


async def test_one_journaled_del_that_the_datastore_refuses_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delete, "FIRST_RETRY_SECONDS", 0.01)
    async with in_memory(tmp_path) as node:
        for number in range(4):
            await node.add(f"c{number}", f"web-{number}")
        node.switch.away = True
        for number in range(4):
            await node.delete(f"c{number}", f"web-{number}")
        node.switch.away = False
        carry_out, refused = node.store.write, list[Any]()

        async def refuse(*writes: Write) -> Any:
            if any(one.resource.name.endswith(("web--0-eth0", "web--2-eth0")) for one in writes):
                refused.append(writes)
                raise Forbidden("write on its pod: the role of this account lacks it (403)")
            return await carry_out(*writes)

        monkeypatch.setattr(node.store, "write", refuse)
        cleaning = asyncio.create_task(node.cleanup.run())
        await until(lambda: len(node.journal.pending) == 2 or len(refused) > 9)
        cleaning.cancel()
        assert [one.pod.name for one in node.journal.pending] == ["web-0", "web-2"]


async def test_a_pod_that_is_gone_or_cannot_be_read_keeps_none_of_its_containers(tmp_path: Path) -> None:
    store = PodStore()
    async with in_memory(tmp_path, store) as node:
        for pod in ("gone", "odd"):
            uid = store.make_pod(pod)
            for number in range(3):
                await node.add(f"{pod}-{number}", pod, uid=uid)
                await node.take_up(f"{pod}-{number}", pod, uid=uid)
        store.delete_pod("gone")
        store.spoil(store.pod("odd"))
        await carried_out(node)
        assert await node.addresses() == []


async def test_what_is_under_a_pods_old_handle_goes_with_its_containers(tmp_path: Path) -> None:
    store = PodStore()
    async with in_memory(tmp_path, store) as node:
        uid = store.make_pod()
        await node.allocator.assign(AddressesWanted(NODE, legacy_pod_handle("default", "web-1")))
        for container in ("c1", "c2", "c3"):
            await node.take_up(container, uid=uid)
        await carried_out(node)
        assert await node.addresses() == []


async def test_what_the_datastore_does_not_take_stays_in_the_journal_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes away again between any two requests: a pod's, its containers'."""
    for pause in ("FIRST_RETRY_SECONDS", "AWAY_SECONDS", "GATHER_SECONDS"):
        monkeypatch.setattr(delete, pause, 0.01)
    store = PodStore()
    async with in_memory(tmp_path, store) as node:
        cleaning = asyncio.create_task(node.cleanup.run())
        for calls in range(20):
            uid = store.make_pod()
            node.switch.away = False
            for container in ("c1", "c2", "c3"):
                await node.add(f"{container}-{calls}", uid=uid)
            node.switch.away = True
            for container in ("c1", "c2", "c3"):
                await node.delete(f"{container}-{calls}", uid=uid)
            node.switch.calls_left, node.switch.away = calls, False
            await until(lambda: node.switch.away or not node.journal.pending)
            node.switch.calls_left, node.switch.away = None, False
            await until(lambda: not node.journal.pending)
            assert await node.addresses() == []
        cleaning.cancel()


async def test_what_is_being_written_on_a_pod_when_its_releases_begin_is_taken_back(tmp_path: Path) -> None:
    """The pod that is read for all of them has it."""
    store = PodStore()
    async with in_memory(tmp_path, store) as node:
        uid = store.make_pod()
        store.open.clear()
        async with writing(node):
            await node.add("written", uid=uid)
            await store.asked.wait()
            node.held_back = "the datastore has another cluster"
            for container in ("first", "written", "refused"):
                await node.delete(container, uid=uid)
            node.held_back = ""
            cleaning = asyncio.create_task(node.cleanup.run())
            await until(lambda: len(node.journal.pending) == 2)
            store.open.set()
            await until(lambda: not node.journal.pending)
            cleaning.cancel()
        assert store.written == ["written", ""]
        assert (store.pod().spec.ip_networks, await node.addresses()) == ((), [])


@asynccontextmanager
async def listed(folder: Path, *containers: str) -> AsyncIterator[tuple[InMemory, Listing, str]]:
    """A node whose handles are listed, with DELs of these containers of a pod in its journal, and the pod's UID."""
    store = PodStore()
    listing = Listing(store)
    async with in_memory(folder, store):
        node = InMemory(store, folder, handle_names=listing)
        uid = store.make_pod()
        await node.allocator.adopt(NODE)
        for container in containers:
            await node.take_up(container, uid=uid)
        store.calls.clear()
        yield node, listing, uid


async def test_where_handles_are_listed_none_that_has_no_record_is_read(tmp_path: Path) -> None:
    """Nor is one tried alone, as the list shows that the datastore answers."""
    async with listed(tmp_path, *(f"c{number}" for number in range(9))) as (node, listing, uid):
        await node.add("attached", uid=uid)
        await node.take_up("attached", uid=uid)
        listing.store.calls.clear()
        await carried_out(node)
        assert (listing.asked, listing.store.calls["get IPAMHandle"], listing.store.calls["get WorkloadEndpoint"]) == (
            1,
            0,
            1,
        )
        assert (await node.addresses(), (await node.store.list(IPAMHandle)).objects) == ([], ())


async def test_a_container_that_is_attached_while_handles_are_listed_is_released_as_a_whole(tmp_path: Path) -> None:
    """The list is older than its handle."""
    async with listed(tmp_path, "first", "c1", "c2", "c3") as (node, listing, uid):

        async def come_and_go() -> None:
            await node.add("c2", uid=uid)
            node.switch.calls_left = 1  # its pod's is written, its block's is not
            await node.delete("c2", uid=uid)
            node.switch.calls_left, node.switch.away = None, False

        listing.meanwhile = come_and_go
        await carried_out(node)
        assert (await node.addresses(), (await node.store.list(IPAMHandle)).objects) == ([], ())


async def away() -> None:
    raise Unavailable("list handles: the API server does not answer in time")


async def forbidden() -> None:
    raise Forbidden("list handles: the role of this account lacks it (403)")


@pytest.mark.parametrize(("why", "times"), [(away, 2), (forbidden, 1)])
async def test_where_handles_cannot_be_listed_each_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: Callable[[], Awaitable[None]], times: int
) -> None:
    """After one that is tried alone; the next time, if nothing says that the datastore itself answers."""
    monkeypatch.setattr(delete, "FIRST_RETRY_SECONDS", 0.01)
    async with listed(tmp_path, *(f"c{number}" for number in range(5))) as (node, listing, _):
        listing.meanwhile = why
        await carried_out(node)
        assert listing.asked >= times
        assert listing.store.calls["get IPAMHandle"] == 5 + 2  # and the pod's old one, by the first and by the others


async def test_what_another_clusters_datastore_lists_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delete, "FIRST_RETRY_SECONDS", 0.01)
    async with listed(tmp_path, *(f"c{number}" for number in range(5))) as (node, listing, _):

        async def meet_another_cluster() -> None:
            node.held_back = "the datastore has another cluster"
            asyncio.get_running_loop().call_soon(setattr, node, "held_back", "")  # before a release begins

        listing.meanwhile = meet_another_cluster
        await carried_out(node)
        assert listing.store.calls["get IPAMHandle"] == 5 + 2
