"""A handle's release: how many requests it costs, and what other processes did meanwhile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from datastore.errors import BadRecord
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Delete
from ipam.allocator import Allocator
from ipam.errors import CompanionRefused
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import POD, node, owners, pod, pool


async def test_new_handles_are_assigned_under_and_released_without_being_read(store: MemoryStore) -> None:
    allocator = Allocator(store)
    await allocator.assign(pod("first"))
    for number in range(3):
        store.calls.clear()
        await allocator.assign(replace(pod(number), fresh=True))
        assert store.calls["get IPAMHandle"] == 0
        await allocator.release_handle(pod(number).handle)
        assert store.calls["get IPAMHandle"] == 0
        assert store.calls["write IPAMHandle"] == store.calls["write IPAMBlock"] == 2


async def test_a_release_finds_what_another_process_assigned_under_its_handle(store: MemoryStore) -> None:
    await store.create(pool("six", "fd65::/48"))
    ours, theirs = Allocator(store), Allocator(store)
    await ours.assign(POD)
    await theirs.assign(replace(POD, ipv4=0, ipv6=1))
    assert len(await ours.release_handle(POD.handle)) == 2
    await ours.assign(POD)
    await theirs.release_handle(POD.handle)
    assert await ours.release_handle(POD.handle) == []
    assert (await owners(store), (await store.list(IPAMHandle)).objects) == ({}, ())


async def test_what_goes_with_addresses_goes_in_the_transaction_of_the_first_of_them() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), pool("six", "fd65::/48"), node("n1"))
    allocator, endpoint = Allocator(store), await store.create(_endpoint())
    await allocator.assign(replace(POD, ipv6=1))
    store.transactions.clear()
    assert len(await allocator.release_handle(POD.handle, companion=Delete(endpoint))) == 2
    assert store.transactions == [
        ["Update IPAMHandle", "Delete WorkloadEndpoint", "Update IPAMBlock"],
        ["Delete IPAMHandle", "Update IPAMBlock"],
    ]


async def test_what_another_wrote_meanwhile_does_not_go_and_its_addresses_stay() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator, endpoint = Allocator(store), await store.create(_endpoint())
    await allocator.assign(POD)
    await store.update(endpoint.with_spec(container_id="newer"))
    with pytest.raises(CompanionRefused, match="n1-k8s-web-eth0"):
        await allocator.release_handle(POD.handle, companion=Delete(endpoint))
    assert list((await owners(store)).values()) == [POD.handle]
    assert (await store.list(WorkloadEndpoint)).objects
    assert len(await allocator.release_handle(POD.handle)) == 1


async def test_where_nothing_is_released_nothing_goes_with_it() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator, endpoint = Allocator(store), await store.create(_endpoint())
    assert await allocator.release_handle(POD.handle, companion=Delete(endpoint)) == []
    assert (await store.list(WorkloadEndpoint)).objects == (endpoint,)


async def test_a_block_that_cannot_be_read_keeps_what_it_holds_and_no_other() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), pool("six", "fd65::/48"), node("n1"))
    allocator, endpoint = Allocator(store), await store.create(_endpoint())
    given = await allocator.assign(replace(POD, ipv6=1))
    [first] = [one for one in (await store.list(IPAMBlock)).objects if given.ipv4[0] in one.network]
    store.spoil(first)
    restarted = Allocator(store)
    with pytest.raises(BadRecord):
        await restarted.release_handle(POD.handle, companion=Delete(endpoint))
    assert await owners(store) == {}
    [handle] = (await store.list(IPAMHandle)).objects
    assert list(handle.spec.block) == [first.spec.cidr]
    assert (await store.list(WorkloadEndpoint)).objects == ()


def _endpoint() -> WorkloadEndpoint:
    return WorkloadEndpoint.make("n1-k8s-web-eth0", "default", node="n1", pod="web")
