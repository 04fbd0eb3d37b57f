"""Which block a request gets: the host's own, a new one, or one taken over."""

from __future__ import annotations

import asyncio

import pytest

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.pools import IPPool
from ipam.affinities import Affinities
from ipam.allocator import Allocator
from ipam.block_finder import BlockFinder, Search
from ipam.errors import BlockLimit, Exhausted
from ipam.host_context import HostContext, HostContexts
from ipam.reserved import Reserved
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import POD, config, node, pod, pool

NOW = 10**18


async def test_no_block_is_claimed_where_the_cluster_forbids_it() -> None:
    store = MemoryStore(
        pool("pods", "10.65.0.0/16"), config(strict_affinity=True, auto_allocate_blocks=False), node("n1")
    )
    with pytest.raises(Exhausted, match="autoAllocateBlocks"):
        await Allocator(store).assign(POD)
    assert (await store.list(BlockAffinity)).objects == ()


async def test_a_host_owns_no_more_blocks_than_it_may() -> None:
    store = MemoryStore(
        pool("pods", "10.65.0.0/24", block_size=30), config(strict_affinity=True, max_blocks_per_host=2)
    )
    allocator = Allocator(store)
    for number in range(8):
        await allocator.assign(pod(number))
    with pytest.raises(BlockLimit, match="owns 2 IPv4 blocks, all full, and may own 2"):
        await allocator.assign(pod(9))
    assert len((await store.list(BlockAffinity)).objects) == 2


async def test_an_empty_block_of_another_host_is_taken_over_after_a_minute() -> None:
    moment = 10**18
    store = MemoryStore(pool("small", "10.66.0.0/30", block_size=30), config(strict_affinity=True))
    allocator = Allocator(store, now_ns=lambda: moment)
    await allocator.assign(pod(1))
    await allocator.release_handle("net.pod-1")
    moment += 59 * 10**9
    with pytest.raises(Exhausted):
        await allocator.assign(pod(2, "n2"))
    moment += 2 * 10**9
    await allocator.assign(pod(2, "n2"))
    [affinity] = (await store.list(BlockAffinity)).objects
    assert affinity.spec.node == "n2"


async def test_empty_blocks_of_a_pool_that_no_longer_selects_the_node_are_released(store: MemoryStore) -> None:
    allocator = Allocator(store)
    await allocator.assign(POD)
    await allocator.release_handle("net.pod")
    [old] = (await store.list(IPPool)).objects
    await store.update(old.with_spec(node_selector="has(rack)"))
    await store.create(pool("new", "10.70.0.0/24"))
    await allocator.assign(POD)
    assert [block.spec.cidr[:6] for block in (await store.list(IPAMBlock)).objects] == ["10.70."]


def search(context: HostContext, host: str = "n1") -> Search:
    return Search(host, 4, context.pools, Reserved(), context)


async def test_searches_at_once_share_the_block_that_the_first_of_them_claims(store: MemoryStore) -> None:
    affinities = Affinities(store, lambda: NOW)
    finder = BlockFinder(store, affinities, lambda: NOW)
    context = await HostContexts(store, affinities).of("n1")
    found = await asyncio.gather(*(finder.next(search(context), ()) for _ in range(10)))
    assert len(set(found)) == 1
    assert [one.network for one in (await store.list(BlockAffinity)).objects] == [found[0]]


async def test_a_block_known_to_be_the_hosts_is_returned_without_a_read(store: MemoryStore) -> None:
    affinities = Affinities(store, lambda: NOW)
    finder = BlockFinder(store, affinities, lambda: NOW)
    contexts = HostContexts(store, affinities)
    block = await finder.next(search(await contexts.of("n1")), ())
    context = await contexts.of("n1")
    store.calls.clear()
    assert await finder.next(search(context), ()) == block
    assert not store.calls


async def test_a_block_that_was_full_is_looked_at_again_before_another_is_claimed() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/24", block_size=30), config(), node("n1"))
    allocator = Allocator(store)
    first, *_ = [await allocator.assign(pod(number)) for number in range(8)]
    await Allocator(store).release_handle(pod(0).handle)  # by another process
    assert (await allocator.assign(pod(8))).ipv4 == first.ipv4
    assert len((await store.list(BlockAffinity)).objects) == 2
