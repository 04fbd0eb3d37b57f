"""What pods that come together cost an API server, with an agent's watch behind their addresses."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from datastore.kube.store import KubeStore
from datastore.record import CRD
from datastore.store import InSync
from ipam.allocator import Allocator
from ipam.host_context import CONTEXT_KINDS
from tests.ipam.world import config, node, owners, pod, pool, violations
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy

MOST_BATCHES = 4
"""However many come together: the first alone, the rest in the next batches."""


def taken(proxy: FaultyProxy) -> Counter[str]:
    """Return how often what was asked for since this was last called: `POST ipamhandles`."""
    parts = [request.partition("?")[0].split() for request in proxy.requests]
    proxy.requests.clear()
    return Counter(f"{method} {_plural(path)}" for method, path in parts)


def _plural(path: str) -> str:
    if path.startswith("/api/v1/namespaces/"):
        return path.split("/")[5]
    return path.removeprefix(f"/apis/{CRD}/").partition("/")[0]


async def followed(store: KubeStore, allocator: Allocator, in_sync: asyncio.Event) -> None:
    async for event in store.watch(*CONTEXT_KINDS):
        allocator.on_event(event)
        if isinstance(event, InSync):
            in_sync.set()


async def test_a_pod_on_a_node_with_full_blocks_costs_what_the_first_one_did(bed: Bed, tmp_path: Path) -> None:
    owner = bed.open()
    for resource in (pool("pods", "10.65.0.0/24", block_size=30), config(), node("n1")):
        await owner.create(resource)
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        allocator = Allocator(store)
        for number in range(10):  # two full blocks, and one with room for two
            await allocator.assign(pod(number))
        in_sync = asyncio.Event()
        following = asyncio.create_task(followed(store, allocator, in_sync))
        await in_sync.wait()
        taken(proxy)
        for number in (10, 11):
            await allocator.assign(replace(pod(number), fresh=True))
            assert taken(proxy) == {"POST ipamhandles": 1, "PUT ipamblocks": 1}
        following.cancel()
        await store.close()
    await owner.close()


async def test_the_first_pod_after_an_agents_restart_costs_no_read(bed: Bed, tmp_path: Path) -> None:
    """Nor does it where the first of the node's blocks is full."""
    owner = bed.open()
    for resource in (pool("pods", "10.65.0.0/24", block_size=30), config(), node("n1")):
        await owner.create(resource)
    before = Allocator(owner)
    for number in range(5):
        await before.assign(pod(number))
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        allocator = Allocator(store)
        await allocator.adopt("n1")
        in_sync = asyncio.Event()
        following = asyncio.create_task(followed(store, allocator, in_sync))
        await in_sync.wait()
        taken(proxy)
        await allocator.assign(replace(pod("next"), fresh=True))
        assert taken(proxy) == {"POST ipamhandles": 1, "PUT ipamblocks": 1}
        await allocator.release_handle(pod(0).handle)
        assert taken(proxy) == {"GET ipamhandles": 1, "PUT ipamblocks": 1, "DELETE ipamhandles": 1}
        known = await allocator.held(pod(1).handle)
        taken(proxy)
        await allocator.release_handle(pod(1).handle, expected=known)  # as its endpoint tells
        assert taken(proxy) == {"PUT ipamblocks": 1, "DELETE ipamhandles": 1}
        following.cancel()
        await store.close()
    await owner.close()


@pytest.mark.parametrize("count", [1, 10, 50])
async def test_pods_that_come_together_share_their_block_writes_and_read_nothing(
    bed: Bed, tmp_path: Path, count: int
) -> None:
    owner = bed.open()
    for resource in (pool("pods", "10.65.0.0/24"), config(), node("n1")):
        await owner.create(resource)
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        allocator = Allocator(store)
        await allocator.assign(pod("first"))  # claims the block
        in_sync = asyncio.Event()
        following = asyncio.create_task(followed(store, allocator, in_sync))
        await in_sync.wait()
        taken(proxy)

        wanted = [replace(pod(number), fresh=True) for number in range(count)]
        given = await asyncio.gather(*(allocator.assign(one) for one in wanted))
        spent = taken(proxy)
        assert spent.pop("PUT ipamblocks") <= min(count, MOST_BATCHES)
        assert spent == {"POST ipamhandles": count}

        await asyncio.gather(*(allocator.release_handle(one.handle) for one in wanted))
        spent = taken(proxy)
        assert spent.pop("PUT ipamblocks") <= min(count, MOST_BATCHES)
        assert spent == {"DELETE ipamhandles": count}
        assert len({address for one in given for address in one.ipv4}) == count
        left = {address: str(handle) for address, handle in (await owners(owner)).items()}
        assert (list(left.values()), await violations(owner, left)) == (["net.pod-first"], [])
        following.cancel()
        await store.close()
    await owner.close()
