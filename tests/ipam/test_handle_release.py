"""A handle's release: how many requests it costs, and what other processes did meanwhile."""

from __future__ import annotations

from msgspec.structs import replace

from datastore.kinds.ipam import IPAMHandle
from ipam.allocator import Allocator
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import POD, owners, pod, pool


async def test_new_handles_are_assigned_under_and_released_without_being_read(store: MemoryStore) -> None:
    """Where handles are written on their own; else a release reads its handle."""
    allocator = Allocator(store)
    await allocator.assign(pod("first"))
    for number in range(3):
        store.calls.clear()
        await allocator.assign(replace(pod(number), fresh=True))
        assert store.calls["get IPAMHandle"] == 0
        await allocator.release_handle(pod(number).handle)
        assert store.calls["get IPAMHandle"] == store.atomic
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
