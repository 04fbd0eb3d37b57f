"""Which block a request gets: the host's own, a new one, or one taken over."""

from __future__ import annotations

import asyncio

import pytest

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.pools import IPPool
from datastore.store import Changed, R
from ipam.affinities import Affinities
from ipam.allocator import Allocator
from ipam.block_finder import FULL_FOR_SECONDS, BlockFinder, Search
from ipam.block_writer import BlockWriter
from ipam.errors import BlockLimit, Exhausted
from ipam.host_context import HostContext, HostContexts
from ipam.reserved import Reserved
from tests.datastore.memory_store import MemoryStore
from tests.ipam.faulty_store import FaultyStore
from tests.ipam.world import POD, config, node, pod, pool, report

NOW = 10**18


async def test_no_block_is_claimed_where_the_cluster_forbids_it() -> None:
    store = MemoryStore(
        pool("pods", "10.65.0.0/16"), config(strict_affinity=True, auto_allocate_blocks=False), node("n1")
    )
    with pytest.raises(Exhausted, match="autoAllocateBlocks"):
        await Allocator(store).assign(POD)
    assert (await store.list(BlockAffinity)).objects == ()


@pytest.mark.parametrize("strict_affinity", [True, False])
async def test_a_host_owns_no_more_blocks_than_it_may_and_borrows_none_then(strict_affinity: bool) -> None:
    store = MemoryStore(
        pool("pods", "10.65.0.0/24", block_size=30), config(strict_affinity=strict_affinity, max_blocks_per_host=2)
    )
    allocator = Allocator(store)
    for number in range(8):
        await allocator.assign(pod(number))
    await allocator.assign(pod(9, "n2"))
    with pytest.raises(BlockLimit, match="owns 2 IPv4 blocks, all full, and may own 2"):
        await allocator.assign(pod(10))
    assert len((await store.list(BlockAffinity)).objects) == 3


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


def _finder(store: MemoryStore, affinities: Affinities, contexts: HostContexts) -> BlockFinder:
    writer = BlockWriter(store, lambda: NOW, contexts.cooldown_seconds)
    return BlockFinder(store, affinities, contexts, writer, lambda: NOW)


async def test_searches_at_once_share_the_block_that_the_first_of_them_claims(store: MemoryStore) -> None:
    affinities = Affinities(store, lambda: NOW)
    contexts = HostContexts(store, affinities)
    finder = _finder(store, affinities, contexts)
    context = await contexts.of("n1")
    found = await asyncio.gather(*(finder.next(search(context), ()) for _ in range(10)))
    assert len(set(found)) == 1
    assert [one.network for one in (await store.list(BlockAffinity)).objects] == [found[0]]


async def test_a_block_known_to_be_the_hosts_is_returned_without_a_read(store: MemoryStore) -> None:
    affinities = Affinities(store, lambda: NOW)
    contexts = HostContexts(store, affinities)
    finder = _finder(store, affinities, contexts)
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


async def test_behind_a_watch_blocks_are_claimed_without_a_list_or_a_read_of_the_full_ones() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/24", block_size=30), config(), node("n1"), atomic=False)
    allocator = Allocator(store)
    await report(store, allocator)
    for number in range(12):  # the watch reports none of the three claims
        await allocator.assign(pod(number))
    assert store.calls == {"write IPAMHandle": 12, "write IPAMBlock": 3 + 12, "write BlockAffinity": 6}


async def test_what_is_found_for_a_search_that_was_cancelled_is_promised_to_nobody() -> None:
    """Cancelled twice, as by a deadline and then by the end of the server, it does not wait for what is found."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def create(self, resource: R) -> R:
            if isinstance(resource, IPAMBlock):
                begun.set()
                await go_on.wait()
            return await super().create(resource)

    store = Slow(pool("pods", "10.65.0.0/24", block_size=30), config(), node("n1"))
    allocator = Allocator(store)
    await report(store, allocator)
    cancelled = asyncio.create_task(allocator.assign(pod(0)))
    await begun.wait()
    for _ in range(2):
        cancelled.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([cancelled])
    go_on.set()
    for number in range(1, 5):
        await allocator.assign(pod(number))
    assert len((await store.list(BlockAffinity)).objects) == 1


async def test_a_block_without_an_affinity_is_in_the_way_of_one_claim_only() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/28", block_size=30), config(), node("n1"), atomic=False)
    await Allocator(store).assign(pod("old"))
    [block] = (await store.list(IPAMBlock)).objects
    [affinity] = (await store.list(BlockAffinity)).objects
    await store.update(block.with_spec(affinity=None))
    await store.delete(affinity)
    allocator = Allocator(store)
    await report(store, allocator)
    given = [await allocator.assign(pod(number)) for number in range(5)]
    assert store.calls["list IPAMBlock"] == 0
    assert len((await store.list(BlockAffinity)).objects) == 2
    assert block.network not in {cidr for one in given for cidr in one.blocks.values()}


async def test_a_block_that_nobody_claims_and_nobody_can_read_is_in_nobodys_way() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/28", block_size=30), config(), node("n1"), atomic=False)
    await Allocator(store).assign(pod("old"))
    [block] = (await store.list(IPAMBlock)).objects
    [affinity] = (await store.list(BlockAffinity)).objects
    await store.delete(affinity)
    store.spoil(block)
    allocator = Allocator(store)
    await report(store, allocator)
    assert block.network not in (await allocator.assign(pod("new"))).blocks.values()


async def test_behind_a_watch_a_full_block_is_read_again_after_a_while_or_if_no_other_is_left() -> None:
    moment = 10**18
    store = MemoryStore(pool("pods", "10.65.0.0/28", block_size=30), config(), node("n1"), atomic=False)
    allocator = Allocator(store, now_ns=lambda: moment)
    await report(store, allocator)
    first, *_ = [await allocator.assign(pod(number)) for number in range(4)]
    await Allocator(store).release_handle(pod(0).handle)  # by another process
    assert (await allocator.assign(pod(4))).blocks != first.blocks
    await allocator.release_handle(pod(4).handle)
    for number in range(5, 9):
        await allocator.assign(pod(number))
    moment += FULL_FOR_SECONDS * 10**9
    assert (await allocator.assign(pod(9))).ipv4 == first.ipv4

    for number in range(10, 18):
        await allocator.assign(pod(number))
    await Allocator(store).release_handle(pod(9).handle)
    assert (await allocator.assign(pod(18))).ipv4 == first.ipv4
    with pytest.raises(Exhausted):
        await allocator.assign(pod(19))


async def test_a_claim_of_this_process_counts_until_it_is_found_lost_or_a_release_of_it_is_reported() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/24", block_size=30), config(), node("n1"), atomic=False)
    allocator = Allocator(store)
    await report(store, allocator)
    [lost] = (await allocator.assign(pod(1))).blocks.values()
    await Allocator(store).release_handle(pod(1).handle)
    await Allocator(store).release_affinity("n1")
    await Affinities(store, lambda: NOW).claim("n2", lost)
    [other] = (await allocator.assign(pod(2))).blocks.values()
    assert other != lost
    [affinity] = [one for one in (await store.list(BlockAffinity)).objects if one.spec.node == "n1"]
    allocator.on_event(Changed(await store.update(affinity.with_spec(state="pendingDeletion"))))
    await allocator.assign(pod(3))
    assert (await store.get(BlockAffinity, affinity.name)).confirmed  # the release is called off first


async def test_requests_that_come_together_ask_a_block_for_no_more_than_it_has(store: MemoryStore) -> None:
    await store.update((await store.get(IPPool, "pods")).with_spec(block_size=30))
    allocator = Allocator(store)
    await report(store, allocator)
    given = await asyncio.gather(*(allocator.assign(pod(number)) for number in range(12)))
    assert len({one.ipv4 for one in given}) == 12
    assert store.calls["get IPAMBlock"] == 0
    assert store.calls["write IPAMHandle"] == 12  # none is counted back
    assert len((await store.list(BlockAffinity)).objects) == 3


async def test_what_turns_out_to_be_anothers_is_passed_over_without_a_list() -> None:
    store = FaultyStore("10.65.0.0/24", block_size=30)
    allocator = Allocator(store)
    await report(store, allocator)
    other = await Allocator(store).assign(pod("other", "n1"))
    await Allocator(store).release_affinity("n1")  # it has no owner now, and is there
    store.calls.clear()
    given = await allocator.assign(pod("ours"))
    assert set(given.blocks.values()).isdisjoint(other.blocks.values())
    assert store.calls["list IPAMBlock"] == 0
