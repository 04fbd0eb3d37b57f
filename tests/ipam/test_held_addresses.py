from __future__ import annotations

from datastore.errors import Unavailable
from datastore.fields import network
from datastore.kinds.ipam import IPAMBlock
from ipam.affinities import Affinities
from ipam.block_writer import BlockWriter
from ipam.held_addresses import HeldAddresses
from ipam.host_context import HostContexts
from tests.ipam.faulty_store import FaultyStore
from tests.ipam.test_separate_writes import HANDLE, NEXT, owned


def held_addresses(store: FaultyStore) -> HeldAddresses:
    affinities = Affinities(store, lambda: 1)
    contexts = HostContexts(store, affinities)
    writer = BlockWriter(store, lambda: 1, contexts.cooldown_seconds)
    return HeldAddresses(writer, affinities, contexts)


async def address_without_handle(store: FaultyStore) -> IPAMBlock:
    allocator = await owned(store)
    store.fails[HANDLE] = Unavailable("the store does not answer")
    try:
        await allocator.assign(NEXT)
    except Unavailable:
        [block] = (await store.list(IPAMBlock)).objects
        store.calls.clear()
        return block
    raise AssertionError("its handle was written")


async def test_a_block_of_the_host_that_is_not_known_is_read_once() -> None:
    store = FaultyStore()
    block = await address_without_handle(store)
    own = held_addresses(store)
    own.adopt("n1", [block.network])
    for _ in range(2):
        assert set((await own.under(NEXT.handle)).values()) == {block.network}
    assert store.calls == {"get IPAMBlock": 1}


async def test_who_is_no_hosts_agent_reads_nothing() -> None:
    store = FaultyStore()
    await address_without_handle(store)
    own = held_addresses(store)
    assert (await own.under(NEXT.handle), own.of_a_host, store.calls) == ({}, False, {})


async def test_a_block_that_is_gone_or_cannot_be_read_keeps_no_release_waiting() -> None:
    store = FaultyStore()
    block = await address_without_handle(store)
    store.spoil(block)
    own = held_addresses(store)
    own.adopt("n1", [block.network, network("10.65.200.0/26")])
    store.calls.clear()
    for _ in range(2):
        assert await own.under(NEXT.handle) == {}
    assert store.calls == {"get IPAMBlock": 3}, "that one is gone is found out once"
