"""Pools and settings are known without a request while a watch reports every change of them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import TypeVar

import pytest

from datastore.errors import BadRecord
from datastore.kinds.ipam import BlockAffinity, IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool, IPReservation
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Unreadable
from ipam.affinities import Affinities
from ipam.allocator import AddressesWanted, Allocator
from ipam.errors import NoPools
from ipam.host_context import CONTEXT_KINDS, HostContext, HostContexts
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import config, node, pool

R = TypeVar("R", bound=Resource)


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


async def in_sync(store: MemoryStore, allocator: Allocator) -> None:
    """Tell the allocator what the store holds, as a watch does."""
    async for event in store.watch(*CONTEXT_KINDS):
        allocator.on_event(event)
        if isinstance(event, InSync):
            return


async def test_in_sync_nothing_is_read_and_what_is_reported_is_obeyed() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), pool("more", "10.66.0.0/16", disabled=True), node("n1"))
    allocator = Allocator(store)
    await in_sync(store, allocator)
    assert await reads_of_pools(store, allocator, 1) == 0
    await in_sync(store, allocator)  # the block that was claimed
    store.calls.clear()
    assert [str(one)[:6] for one in (await allocator.assign(request(2))).ipv4] == ["10.65."]
    assert not [call for call in store.calls if call.startswith(("get", "list"))]
    for event in (Changed(pool("pods", "10.65.0.0/16", disabled=True)), Changed(pool("more", "10.66.0.0/16"))):
        allocator.on_event(event)
    assert [str(one)[:6] for one in (await allocator.assign(request(3))).ipv4] == ["10.66."]
    allocator.on_event(Unreadable(IPPool, "more", None, "it cannot be read"))
    with pytest.raises(NoPools):
        await allocator.assign(request(4))


async def test_an_affinity_is_its_hosts_until_it_is_gone_or_anothers() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"), node("n2"))
    affinities = Affinities(store, lambda: 0)
    contexts = HostContexts(store, affinities)
    contexts.on_event(InSync())

    async def owned(host: str) -> list[str]:
        return [one.spec.cidr for one in (await contexts.of(host)).affinities]

    await affinities.claim("n1", ip_network("10.65.0.0/26"))
    [claimed] = (await store.list(BlockAffinity)).objects
    contexts.on_event(Changed(claimed))
    assert (await owned("n1"), await owned("n2")) == (["10.65.0.0/26"], [])
    contexts.on_event(
        Changed(claimed.with_metadata(labels={}))
    )  # by an old version: its host lists it only once adopted
    assert await owned("n1") == []
    contexts.on_event(Changed(claimed))
    contexts.on_event(Gone(BlockAffinity, claimed.name))
    assert await owned("n1") == []


async def test_a_node_that_comes_into_a_pool_or_leaves_it_is_known_at_once() -> None:
    store = MemoryStore(pool("pods", "192.0.2.0/24"), node("n1"))
    contexts = HostContexts(store, Affinities(store, lambda: 0))
    contexts.on_event(Changed(pool("pods", "192.0.2.0/24")))
    contexts.on_event(InSync())
    assert not (await contexts.of("n1")).blocks_of_hosts
    contexts.on_event(Changed(node("n2").with_data(IPv4Address="192.0.2.2/32")))
    assert set((await contexts.of("n1")).blocks_of_hosts) == {ip_network("192.0.2.0/26")}
    contexts.on_event(Gone(Node, "n2"))
    assert not (await contexts.of("n1")).blocks_of_hosts


async def test_a_node_outside_the_pools_is_nothing_to_other_hosts_wherever_it_moves() -> None:
    contexts = HostContexts(MemoryStore(), Affinities(MemoryStore(), lambda: 0))
    for resource in (pool("pods", "10.65.0.0/16"), node("n1"), node("n2").with_data(IPv4Address="192.0.2.2/24")):
        contexts.on_event(Changed(resource))
    contexts.on_event(InSync())
    known = await contexts.of("n1")
    contexts.on_event(Changed(node("n2").with_data(IPv4Address="192.0.2.3/24")))
    contexts.on_event(Changed(node("n3").with_data(IPv4Address="198.51.100.3/24")))
    contexts.on_event(Gone(Node, "n2"))
    assert await contexts.of("n1") is known
    contexts.on_event(Changed(node("n3").with_data(IPv4Address="10.65.0.3/32")))
    assert set((await contexts.of("n1")).blocks_of_hosts) == {ip_network("10.65.0.0/26")}
    contexts.on_event(Gone(IPPool, "pods"))
    assert not (await contexts.of("n1")).blocks_of_hosts
    contexts.on_event(Changed(pool("pods", "10.65.0.0/16")))
    assert set((await contexts.of("n1")).blocks_of_hosts) == {ip_network("10.65.0.0/26")}


async def test_requests_that_come_together_share_one_reading() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1", rack="a"))
    contexts = HostContexts(store, Affinities(store, lambda: 0))
    found = await asyncio.gather(*(contexts.of("n1") for _ in range(10)))
    assert store.calls["list IPPool"] == 1
    assert {id(one) for one in found} == {id(found[0])} and found[0].node_labels == {"rack": "a"}


async def test_the_configuration_and_a_nodes_labels_are_as_they_were_reported_last() -> None:
    contexts = HostContexts(MemoryStore(), Affinities(MemoryStore(), lambda: 0))
    contexts.on_event(InSync())
    contexts.on_event(Changed(node("n1", rack="a")))
    contexts.on_event(Changed(config(ip_cooldown_seconds=5)))
    assert ((await contexts.of("n1")).node_labels, await contexts.cooldown_seconds()) == ({"rack": "a"}, 5)
    contexts.on_event(Changed(node("n1", rack="b")))
    contexts.on_event(Gone(IPAMConfig, "default"))
    assert ((await contexts.of("n1")).node_labels, await contexts.cooldown_seconds()) == ({"rack": "b"}, 0)


async def test_what_was_known_of_a_record_holds_while_it_cannot_be_read() -> None:
    reserved = IPReservation.make("router", reservedCIDRs=["10.65.0.1"])
    contexts = HostContexts(MemoryStore(), Affinities(MemoryStore(), lambda: 0))
    for resource in (config(strict_affinity=True), reserved, node("n1", rack="a")):
        contexts.on_event(Changed(resource))
    contexts.on_event(InSync())
    before = await contexts.of("n1")
    assert before.strict and before.reservations == (reserved,) and before.node_labels == {"rack": "a"}
    for resource in (config(), reserved, node("n1")):
        contexts.on_event(Unreadable(type(resource), resource.name, None, "it cannot be read"))
    assert await contexts.of("n1") == before
    for resource in (config(), reserved, node("n1")):
        contexts.on_event(Gone(type(resource), resource.name))
    after = await contexts.of("n1")
    assert not after.strict and not after.reservations and not after.node_labels


async def test_settings_that_could_never_be_read_are_not_taken_for_the_usual_ones() -> None:
    class Damaged(MemoryStore):
        async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
            if kind is IPAMConfig:
                raise BadRecord('IPAMConfig "default": spec.strictAffinity "yes" is not true or false')
            return await super().get(kind, name, namespace)

    store = Damaged(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator = Allocator(store)
    allocator.on_event(Changed(pool("pods", "10.65.0.0/16")))
    allocator.on_event(Unreadable(IPAMConfig, "default", None, "it cannot be read"))
    allocator.on_event(InSync())
    with pytest.raises(BadRecord, match="strictAffinity"):
        await allocator.assign(request(1))
    assert allocator.room("n1") is None
    assert await allocator.release_handle("net.1") == []
    allocator.on_event(Changed(config()))
    assert (await allocator.assign(request(1))).ipv4


def test_without_a_configuration_blocks_are_claimed_and_borrowed_from() -> None:
    context = HostContext(None, (), (), {}, ())
    assert (context.strict, context.claims_blocks, context.cooldown_seconds) == (False, True, 0)
    strict = HostContext(
        config(strict_affinity=True, auto_allocate_blocks=False, ip_cooldown_seconds=5), (), (), {}, ()
    )
    assert (strict.strict, strict.claims_blocks, strict.cooldown_seconds) == (True, False, 5)
