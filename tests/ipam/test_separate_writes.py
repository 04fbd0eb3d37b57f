"""Handle and block as two writes at the same time: either may fail, be unheard of, or be another's."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from datastore.errors import Invalid, Unavailable
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.store import Create, Update
from ipam.allocator import Allocator
from ipam.block import with_next_sequence
from ipam.collector import Collector
from ipam.errors import HandleInUse
from tests.datastore.memory_store import MemoryStore
from tests.ipam.faulty_store import FaultyStore
from tests.ipam.world import owners, pod, violations

HANDLE, BLOCK = "Create IPAMHandle", "Update IPAMBlock"
NEXT = replace(pod("next"), fresh=True)


async def owned(store: FaultyStore) -> Allocator:
    """Return the allocator of n1, which has a block with one address in use."""
    allocator = Allocator(store)
    await allocator.assign(pod("first"))
    await allocator.adopt("n1")
    store.asked.clear()
    return allocator


async def restarted(store: FaultyStore) -> Allocator:
    allocator = Allocator(store)
    await allocator.adopt("n1")
    return allocator


async def only_the_first_is_left(store: FaultyStore) -> bool:
    in_use = {address: str(handle) for address, handle in (await owners(store)).items()}
    return list(in_use.values()) == ["net.pod-first"] and await violations(store, in_use) == []


@pytest.mark.parametrize("slower", [HANDLE, BLOCK])
async def test_neither_waits_for_the_other_and_the_caller_waits_for_both(slower: str) -> None:
    store = FaultyStore()
    allocator = await owned(store)
    store.held_back[slower] = asyncio.Event()
    assigning = asyncio.create_task(allocator.assign(NEXT))
    for _ in range(20):
        await asyncio.sleep(0)
    assert sorted(store.asked) == [HANDLE, BLOCK] and not assigning.done()
    store.held_back[slower].set()
    given = await assigning
    assert (await owners(store))[given.ipv4[0]] == NEXT.handle


async def test_who_borrows_has_its_handle_written_first() -> None:
    store = FaultyStore("10.65.0.0/30", block_size=30)
    await owned(store)
    store.held_back[HANDLE] = asyncio.Event()
    borrowing = asyncio.create_task(Allocator(store).assign(pod("guest", "n2")))
    for _ in range(50):
        await asyncio.sleep(0)
    assert store.asked == [HANDLE]
    store.held_back[HANDLE].set()
    await borrowing
    assert store.asked == [HANDLE, BLOCK]


async def test_of_a_handle_in_use_just_the_new_address_is_taken_back() -> None:
    store = FaultyStore()
    await store.create(IPAMHandle.make(NEXT.handle, handle_id=NEXT.handle, block={"10.65.9.0/26": 1}, deleted=False))
    allocator = await owned(store)
    with pytest.raises(HandleInUse, match=r"net\.pod-next"):
        await allocator.assign(NEXT)
    assert list((await owners(store)).values()) == ["net.pod-first"]
    assert (await store.get(IPAMHandle, NEXT.handle)).spec.block == {"10.65.9.0/26": 1}


async def test_an_older_address_under_the_handle_stays_and_nothing_is_written() -> None:
    store = FaultyStore()
    allocator = await owned(store)
    [older] = (await allocator.assign(NEXT)).ipv4
    store.asked.clear()
    with pytest.raises(HandleInUse):
        await allocator.assign(NEXT)
    assert store.asked == []
    assert (await owners(store))[older] == NEXT.handle


async def test_two_at_the_same_time_under_one_new_handle_get_one_address() -> None:
    store = FaultyStore()
    allocator = await owned(store)
    results = await asyncio.gather(*(allocator.assign(NEXT) for _ in range(2)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["Assignment", "HandleInUse"]
    in_use = {address: str(handle) for address, handle in (await owners(store)).items()}
    assert sorted(in_use.values()) == ["net.pod-first", "net.pod-next"]
    assert await violations(store, in_use) == []


async def test_an_address_whose_handle_is_refused_is_taken_back_at_once() -> None:
    store = FaultyStore()
    allocator = await owned(store)
    store.fails[HANDLE] = Invalid("create IPAMHandle net.pod-next: it is not valid")
    with pytest.raises(Invalid):
        await allocator.assign(NEXT)
    assert await only_the_first_is_left(store)


@pytest.mark.parametrize("process", ["the same", "the next"])
@pytest.mark.parametrize("arrived", [True, False], ids=["the handle is there", "it is not"])
async def test_an_address_whose_handle_was_not_heard_of_is_found_by_its_release(process: str, arrived: bool) -> None:
    store = FaultyStore()
    allocator = await owned(store)
    if arrived:
        store.unheard.add(HANDLE)
    else:
        store.fails[HANDLE] = Unavailable("the store does not answer")
    with pytest.raises(Unavailable):
        await allocator.assign(NEXT)
    assert NEXT.handle in (await owners(store)).values()
    after = allocator if process == "the same" else await restarted(store)
    store.calls.clear()
    assert len(await after.release_handle(NEXT.handle)) == 1
    assert store.calls["list IPAMBlock"] == 0
    assert await only_the_first_is_left(store)


@pytest.mark.parametrize("process", ["the same", "the next"])
async def test_so_is_one_whose_block_was_not_heard_of_either(process: str) -> None:
    """The block is not known any more then, and is read."""
    store = FaultyStore()
    allocator = await owned(store)
    store.unheard.add(BLOCK)
    store.fails[HANDLE] = Unavailable("the store does not answer")
    with pytest.raises(Unavailable):
        await allocator.assign(NEXT)
    store.unheard.clear()
    after = allocator if process == "the same" else await restarted(store)
    assert len(await after.release_handle(NEXT.handle)) == 1
    assert await only_the_first_is_left(store)


async def test_an_address_without_a_handle_is_kept_and_its_handle_is_not_new() -> None:
    store = FaultyStore()
    store.fails[HANDLE] = Unavailable("the store does not answer")
    allocator = Allocator(store)
    with pytest.raises(Unavailable):
        await allocator.assign(NEXT)
    store.fails.clear()
    after = await restarted(store)
    assert dict.fromkeys(await after.held(NEXT.handle), NEXT.handle) == await owners(store)
    with pytest.raises(HandleInUse):
        await after.assign(NEXT)


async def test_a_handle_that_was_deleted_as_idle_meanwhile_is_written_again() -> None:
    """As `ipam check --fix` does it: it writes the block first, so that the assignment finds out."""
    store = FaultyStore()
    allocator = await owned(store)
    store.held_back[BLOCK] = asyncio.Event()
    assigning = asyncio.create_task(allocator.assign(NEXT))
    for _ in range(20):
        await asyncio.sleep(0)
    [block] = (await store.list(IPAMBlock)).objects
    await MemoryStore.write(store, Update(with_next_sequence(block)))
    await store.delete(await store.get(IPAMHandle, NEXT.handle))
    store.held_back[BLOCK].set()
    given = await assigning
    in_use = {address: str(handle) for address, handle in (await owners(store)).items()}
    assert in_use[given.ipv4[0]] == NEXT.handle
    assert await violations(store, in_use) == []


async def test_a_handle_that_another_wrote_first_costs_the_address_and_the_next_try_has_one() -> None:
    """As `ipam check --fix` does where it meets the address without its handle."""
    store = FaultyStore()
    allocator = await owned(store)
    store.held_back[HANDLE] = asyncio.Event()
    assigning = asyncio.create_task(allocator.assign(NEXT))
    for _ in range(20):
        await asyncio.sleep(0)
    [block] = (await store.list(IPAMBlock)).objects
    assert NEXT.handle in (await owners(store)).values()
    await MemoryStore.write(
        store,
        Update(with_next_sequence(block)),
        Create(IPAMHandle.make(NEXT.handle, handle_id=NEXT.handle, block={block.spec.cidr: 1}, deleted=False)),
    )
    store.held_back[HANDLE].set()
    with pytest.raises(HandleInUse):
        await assigning
    assert list((await owners(store)).values()) == ["net.pod-first"]
    await allocator.release_handle(NEXT.handle)
    [address] = (await allocator.assign(replace(NEXT, fresh=False))).ipv4
    assert (await owners(store))[address] == NEXT.handle
    await allocator.release_handle(NEXT.handle)
    await Collector(store, allocator, grace_seconds=0).round()
    assert await only_the_first_is_left(store)
