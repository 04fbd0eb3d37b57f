"""A leader's work on a store in memory: what sets it off, and what holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from controller.cluster_view import KubeControllersConfiguration
from controller.collecting import Collecting
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from ipam.allocator import AddressesWanted, Allocator
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import node, owners, pool

PATIENCE_SECONDS = 20.0
READY = ClusterInformation.make("default", clusterGUID="a", datastoreReady=True)


class Cluster:
    def __init__(self, nodes: int = 2) -> None:
        names = [f"n{number}" for number in range(nodes)]
        self.store = MemoryStore(pool("pods", "10.65.0.0/22", block_size=28), READY, *map(node, names))

    async def assign(self, pod: str, host: str) -> None:
        attributes = {"namespace": "default", "pod": pod, "node": host}
        await Allocator(self.store).assign(AddressesWanted(host, f"net.{pod}", attributes, ipv4=1))

    async def remove(self, name: str) -> None:
        await self.store.delete(await self.store.get(Node, name))

    async def claims(self) -> set[str]:
        return {one.spec.node for one in (await self.store.list(BlockAffinity)).objects}

    @asynccontextmanager
    async def collecting(
        self, grace_seconds: float | None = 3600.0, hold_seconds: float = 3600.0
    ) -> AsyncIterator[Collecting]:
        work = Collecting(self.store, grace_seconds=grace_seconds, hold_seconds=hold_seconds, settle_seconds=0.01)
        running = asyncio.create_task(work.run())
        try:
            yield work
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what it waits for is in other tasks' hands
            await asyncio.sleep(0.01)


async def test_a_node_that_is_deleted_gives_back_its_blocks_long_before_the_grace_time() -> None:
    cluster = Cluster()
    for host in ("n0", "n1"):
        await cluster.assign(f"of-{host}", host)
    async with cluster.collecting() as work:
        await until(lambda: _is(work.work.last_round is not None))
        await cluster.remove("n1")
        await until(lambda: _is_set(cluster.claims(), {"n0"}))
        assert set((await owners(cluster.store)).values()) == {"net.of-n0"}
        assert (work.work.addresses, work.work.blocks, work.work.held) == (1, 1, ())


async def test_a_node_that_was_deleted_before_is_found_at_the_start() -> None:
    cluster = Cluster()
    await cluster.assign("lost", "n1")
    await cluster.remove("n1")
    async with cluster.collecting():
        await until(lambda: _is_set(cluster.claims(), set()))


async def test_what_a_node_has_is_given_back_once_its_last_pod_is_gone() -> None:
    cluster = Cluster()
    await cluster.assign("web", "n1")
    endpoint = await cluster.store.create(WorkloadEndpoint.make("n1-web", "default", node="n1", pod="web"))
    async with cluster.collecting():
        reads = cluster.store.calls["get Node"] + 2
        await cluster.remove("n1")
        await until(lambda: _is(cluster.store.calls["get Node"] > reads))  # a first time it left it alone
        assert await cluster.claims() == {"n1"}
        await cluster.store.delete(endpoint)
        await until(lambda: _is_set(cluster.claims(), set()))


async def test_a_locked_datastore_is_left_alone_until_it_is_unlocked() -> None:
    cluster = Cluster()
    await cluster.assign("lost", "n1")
    held = await cluster.store.get(ClusterInformation, "default")
    held = await cluster.store.update(held.with_spec(datastore_ready=False))
    await cluster.remove("n1")
    async with cluster.collecting() as work:
        await until(lambda: _is(any("locked" in why for why in work.work.held)))
        assert await cluster.claims() == {"n1"}
        await cluster.store.update(held.with_spec(datastore_ready=True))
        await until(lambda: _is_set(cluster.claims(), set()))


async def test_when_most_nodes_go_at_once_nothing_is_given_back_until_they_are_back_or_it_is_asked_for() -> None:
    cluster = Cluster(8)
    for number in range(8):
        await cluster.assign(f"pod-{number}", f"n{number}")
    for number in range(1, 8):
        await cluster.remove(f"n{number}")
    async with cluster.collecting() as work:
        await until(lambda: _is(any("7 of 8 hosts" in why for why in work.work.held)))
        assert len(await cluster.claims()) == 8
        for number in range(2, 8):
            await cluster.store.create(node(f"n{number}"))
        await until(lambda: _is_set(cluster.claims(), {f"n{number}" for number in range(8) if number != 1}))
    for number in range(2, 8):
        await cluster.remove(f"n{number}")
    async with cluster.collecting(hold_seconds=0):
        await until(lambda: _is_set(cluster.claims(), {"n0"}))


@pytest.mark.parametrize(("setting", "written"), [(0.0, "15m"), (None, "0s")])
async def test_a_grace_time_of_0_gives_nothing_back(setting: float | None, written: str) -> None:
    cluster = Cluster()
    node_controller = {"node": {"leakGracePeriod": written}}
    await cluster.store.create(KubeControllersConfiguration.make("default", controllers=node_controller))
    await cluster.assign("lost", "n1")
    await cluster.remove("n1")
    async with cluster.collecting(setting) as work:
        await until(lambda: _is(any("is 0" in why for why in work.work.held)))
        assert await cluster.claims() == {"n1"}


async def test_a_shorter_grace_time_is_obeyed_before_the_pause_of_the_longer_one_is_over() -> None:
    cluster = Cluster()
    await cluster.assign("lost", "n1")
    written = KubeControllersConfiguration.make("default", controllers={"node": {"leakGracePeriod": "15m"}})
    kept = await cluster.store.create(written)
    async with cluster.collecting(None, hold_seconds=0) as work:
        await until(lambda: _is(work.work.last_round is not None))
        assert await owners(cluster.store)
        await cluster.store.update(kept.with_spec(controllers={"node": {"leakGracePeriod": "1s"}}))
        await until(lambda: _is_set(_addresses(cluster), set()))


async def _addresses(cluster: Cluster) -> set[str]:
    return set(map(str, await owners(cluster.store)))


async def _is(value: object) -> object:
    return value


async def _is_set(reading: Awaitable[set[str]], wanted: set[str]) -> bool:
    return await reading == wanted
