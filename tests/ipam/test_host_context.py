"""Pools and settings are cached between requests while a watch reports every change of them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Changed, Gone, InSync, WatchEvent
from ipam.affinities import Affinities
from ipam.allocator import AddressesWanted, Allocator
from ipam.host_context import HostContext, HostContexts
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import config, node, pool


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


async def test_in_sync_what_was_read_is_cached_until_a_change_of_it_is_reported() -> None:
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


async def test_a_node_that_comes_into_a_pool_or_leaves_it_is_known_at_once() -> None:
    store = MemoryStore(pool("pods", "192.0.2.0/24"), node("n1"))
    contexts = HostContexts(store, Affinities(store, lambda: 0))
    contexts.on_event(InSync())
    assert not (await contexts.of("n1")).blocks_of_hosts
    contexts.on_event(Changed(node("n2").with_data(IPv4Address="192.0.2.2/32")))
    assert set((await contexts.of("n1")).blocks_of_hosts) == {ip_network("192.0.2.0/26")}
    contexts.on_event(Gone(Node, "n2"))
    assert not (await contexts.of("n1")).blocks_of_hosts


async def test_requests_that_come_together_share_one_reading() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1", rack="a"))
    contexts = HostContexts(store, Affinities(store, lambda: 0))
    found = await asyncio.gather(*(contexts.of("n1") for _ in range(10)))
    assert store.calls["list IPPool"] == 1
    assert {id(one) for one in found} == {id(found[0])} and found[0].node_labels == {"rack": "a"}


async def test_a_reading_during_which_something_changed_is_not_cached() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    contexts = HostContexts(store, Affinities(store, lambda: 0))
    contexts.on_event(InSync())

    class Changing(MemoryStore):
        async def get(self, kind: Any, name: str, namespace: str | None = None) -> Any:
            contexts.on_event(Gone(IPPool, "more"))
            return await super().get(kind, name, namespace)

    changing = Changing(*store.objects.values())
    contexts._store = changing
    await contexts.of("n1")
    await contexts.of("n1")
    assert changing.calls["list IPPool"] == 2


def test_without_a_configuration_blocks_are_claimed_and_borrowed_from() -> None:
    context = HostContext(None, (), (), {}, ())
    assert (context.strict, context.claims_blocks, context.cooldown_seconds) == (False, True, 0)
    strict = HostContext(
        config(strict_affinity=True, auto_allocate_blocks=False, ip_cooldown_seconds=5), (), (), {}, ()
    )
    assert (strict.strict, strict.claims_blocks, strict.cooldown_seconds) == (True, False, 5)
