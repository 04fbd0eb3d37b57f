"""What is known of pools and settings between requests, when somebody tells of every change."""

from __future__ import annotations

from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Changed, Gone, InSync, WatchEvent
from ipam.allocator import AddressesWanted, Allocator
from tests.ipam.world import MemoryStore, node, pool


def request(number: int) -> AddressesWanted:
    return AddressesWanted(node="n1", handle=f"net.{number}", attributes={"node": "n1"})


async def reads_of_pools(store: MemoryStore, allocator: Allocator, number: int) -> int:
    """Assign once; return how often the pools were read for it."""
    before = store.calls["list IPPool"]
    await allocator.assign(request(number))
    return store.calls["list IPPool"] - before


async def test_before_the_watch_is_in_sync_each_request_reads() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator = Allocator(store)
    assert await reads_of_pools(store, allocator, 1) == 1
    allocator.on_event(Changed(pool("pods", "10.65.0.0/16")))
    assert await reads_of_pools(store, allocator, 2) == 1


async def test_in_sync_what_was_read_is_kept_until_a_change_of_it_is_told() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator = Allocator(store)
    allocator.on_event(InSync())
    assert await reads_of_pools(store, allocator, 1) == 1
    assert await reads_of_pools(store, allocator, 2) == 0
    events: tuple[WatchEvent, ...] = (
        Changed(pool("more", "10.66.0.0/16")),
        Gone(IPPool, "more"),
        Changed(IPAMConfig.make("default", strictAffinity=False, autoAllocateBlocks=True)),
        Changed(node("n1")),
    )
    for number, event in enumerate(events, 3):
        allocator.on_event(event)
        assert await reads_of_pools(store, allocator, number) == 1, event


async def test_what_concerns_another_node_or_no_pool_is_no_reason_to_read_again() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator = Allocator(store)
    allocator.on_event(InSync())
    await allocator.assign(request(1))
    allocator.on_event(Changed(node("n2")))
    allocator.on_event(Gone(WorkloadEndpoint, "n1-k8s-web-eth0", "default"))
    assert await reads_of_pools(store, allocator, 2) == 0
