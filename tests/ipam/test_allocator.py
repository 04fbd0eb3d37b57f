"""What the allocator promises, on a store in memory."""

from __future__ import annotations

import asyncio

import pytest

from datastore.resources import BlockAffinity, IPAMBlock, IPAMHandle
from ipam.allocator import Allocator, Request
from tests.ipam.world import MemoryStore, node, owners, pool, violations

POD = Request("n1", "net.pod")


def pod(number: int | str, host: str = "n1") -> Request:
    return Request(host, f"net.pod-{number}", {"pod": f"pod-{number}", "node": host})


@pytest.fixture(params=[True, False], ids=["atomic", "in-order"])
def store(request: pytest.FixtureRequest) -> MemoryStore:
    return MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"), node("n2"), atomic=request.param)


@pytest.fixture
def allocator(store: MemoryStore) -> Allocator:
    return Allocator(store)


async def test_an_assigned_address_is_recorded_with_block_affinity_and_handle(
    store: MemoryStore, allocator: Allocator
) -> None:
    given = await allocator.assign(POD)
    [address] = given.ipv4
    cidr = given.blocks[address]
    [block] = await store.list(IPAMBlock)
    [affinity] = await store.list(BlockAffinity)
    [handle] = await store.list(IPAMHandle)
    assert block.network == cidr and cidr.prefixlen == 26 and address in cidr
    assert block.spec.affinity == "host:n1"
    assert affinity.spec.state == "confirmed" and affinity.spec.node == "n1"
    assert handle.spec.block == {str(cidr): 1}
    assert await owners(store) == {address: "net.pod"} == dict.fromkeys(await allocator.held("net.pod"), "net.pod")
    assert await violations(store, dict.fromkeys(given.ipv4, "net.pod")) == []


async def test_fifty_pods_at_once_cost_at_most_four_block_writes(store: MemoryStore, allocator: Allocator) -> None:
    given = await asyncio.gather(*(allocator.assign(pod(number)) for number in range(50)))
    assert len({address for one in given for address in one.ipv4}) == 50
    assert store.calls["write IPAMBlock"] <= 4
    assert len(await store.list(IPAMBlock)) == 1
    in_use = {one.ipv4[0]: f"net.pod-{number}" for number, one in enumerate(given)}
    assert await violations(store, in_use) == []

    store.calls.clear()
    await asyncio.gather(*(allocator.release_handle(f"net.pod-{number}") for number in range(50)))
    assert store.calls["write IPAMBlock"] <= 4
    assert await owners(store) == {}
    assert await store.list(IPAMHandle) == []
