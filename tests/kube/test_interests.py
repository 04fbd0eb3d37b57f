"""What pods on one node cost the agents of all others: counted on a real API server."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.store import KubeStore
from datastore.store import Changed, InSync, WatchEvent
from felix_py.cluster.interests import watched
from ipam.allocator import Allocator
from tests.ipam.world import config, node, pod, pool
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import faulty_proxy

PODS, AT_ONCE = 200, 50


def endpoint(name: str, host: str, address: str) -> WorkloadEndpoint:
    return WorkloadEndpoint.make(
        f"{host}-k8s-{name}-eth0",
        namespace="default",
        node=host,
        orchestrator="k8s",
        pod=name,
        endpoint="eth0",
        containerID=f"c-{name}",
        interfaceName=f"cali{name}",
        ipNetworks=[f"{address}/32"],
    )


@dataclass
class Watch:
    """What the watch of one node's agent reports once it is in sync."""

    host: str
    counts: Counter[str] = field(default_factory=Counter)
    in_sync: asyncio.Event = field(default_factory=asyncio.Event)
    has_pod: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, store: KubeStore, allocator: Allocator) -> None:
        async for event in store.watch(*watched(self.host)):
            allocator.on_event(event)
            self._count(event)

    def _count(self, event: WatchEvent) -> None:
        if isinstance(event, InSync):
            self.in_sync.set()
        elif isinstance(event, Changed) and self.in_sync.is_set():
            self.counts[event.resource.KIND] += 1
            if isinstance(event.resource, WorkloadEndpoint):
                self.has_pod.set()


async def test_two_hundred_pods_on_a_node_are_no_event_on_another_but_for_the_blocks_that_are_claimed(
    bed: Bed, tmp_path: Path
) -> None:
    owner = bed.open()
    for resource in (pool("pods", "10.65.0.0/16"), config(), node("n1"), node("n2")):
        await owner.create(resource)
    async with faulty_proxy(bed.access(), tmp_path) as proxy, asyncio.TaskGroup() as tasks:
        busy, idle = Watch("n1"), Watch("n2")
        stores = owner, KubeStore(proxy.access)
        allocators = [Allocator(store) for store in stores]
        following = [
            tasks.create_task(watch.follow(store, allocator))
            for watch, store, allocator in zip((busy, idle), stores, allocators, strict=True)
        ]
        await asyncio.gather(busy.in_sync.wait(), idle.in_sync.wait())

        async def attach(number: int) -> None:
            [address] = (await allocators[0].assign(pod(number))).ipv4
            await owner.create(endpoint(f"web-{number}", "n1", str(address)))

        for first in range(0, PODS, AT_ONCE):
            await asyncio.gather(*map(attach, range(first, first + AT_ONCE)))
        await owner.create(endpoint("last", "n2", "10.65.255.1"))
        await idle.has_pod.wait()

        blocks = (await owner.list(BlockAffinity)).objects
        assert {one.spec.node for one in blocks} == {"n1"}
        assert idle.counts.pop("WorkloadEndpoint") <= 2  # its own pod, as it is made and as it is written to
        assert len(blocks) <= idle.counts.pop("BlockAffinity") <= 2 * len(blocks)  # pending, confirmed
        assert not idle.counts
        assert not [request for request in proxy.requests if "ipamblocks" in request or "ipamhandles" in request]
        for task in following:
            task.cancel()
        await stores[1].close()
    await owner.close()
