"""Releasing what leaked, after its grace time and not before."""

from __future__ import annotations

import asyncio
import time
from inspect import signature
from typing import Any

import pytest

from datastore.errors import Unavailable
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.notices import Notice
from ipam import collector
from ipam.allocator import AddressesWanted, Allocator
from ipam.batch import Release
from ipam.collector import Collector
from tests.datastore.memory_store import MemoryStore
from tests.ipam.test_leaks import MINUTE, World
from tests.ipam.world import owners, violations


async def test_a_leak_is_released_only_after_the_grace_time() -> None:
    world = World()
    await world.add("web")
    await world.add("lost", endpoint=False)
    for minutes, held in ((0, ["net.lost", "net.web"]), (14, ["net.lost", "net.web"]), (1, ["net.web"])):
        world.now += minutes * MINUTE
        await world.collector.round()
        assert await world.held() == held
    assert [handle.name for handle in (await world.store.list(IPAMHandle)).objects] == ["net.web"]
    assert await violations(world.store, {}) == []


async def test_where_all_is_in_order_no_summaries_are_held() -> None:
    world = World()
    await world.add("web")
    before = world.store.calls["summarize"]
    assert not (await world.collector.round()).anything
    assert world.store.calls["summarize"] == before
    await world.add("lost", endpoint=False)
    await world.collector.round()
    assert world.store.calls["summarize"] == before + 3


async def test_pools_are_read_once_for_however_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "AT_ONCE", 2)
    world = World()
    await world.add("web")
    for number in range(5):
        await world.add(f"lost-{number}", endpoint=False)
    await world.collector.round()
    world.now += 15 * MINUTE
    before = world.store.calls["list IPPool"]
    assert len((await world.collector.round()).addresses) == 5
    assert world.store.calls["list IPPool"] - before == 1


async def test_a_pod_that_comes_in_time_keeps_its_address() -> None:
    world = World()
    await world.add("slow", endpoint=False)
    await world.collector.round()
    [(address, _)] = (await owners(world.store)).items()
    await world.store.create(
        WorkloadEndpoint.make("n1-slow", "default", node="n1", pod="slow", ip_networks=[f"{address}/32"])
    )
    world.now += 20 * MINUTE
    assert (await world.collector.round()).addresses == ()
    assert await world.held() == ["net.slow"]


async def test_a_pod_that_was_made_anew_keeps_its_new_address_and_its_old_one_is_released() -> None:
    world = World()
    attributes = {"namespace": "default", "pod": "web", "node": "n1"}
    await world.allocator.assign(AddressesWanted("n1", "net.before", attributes, ipv4=1))
    await world.collector.round()
    await world.add("web")
    world.now += 15 * MINUTE
    await world.collector.round()
    assert await world.held() == ["net.web"]


async def test_an_address_assigned_again_starts_its_grace_time_again() -> None:
    world = World()
    await world.add("lost", endpoint=False, addresses=16)
    await world.collector.round()
    await world.allocator.release_handle("net.lost")
    await world.add("lost", endpoint=False, addresses=16)
    world.now += 16 * MINUTE
    assert (await world.collector.round()).addresses == ()


async def test_a_release_meant_for_an_earlier_pod_leaves_the_new_one_alone() -> None:
    world = World()
    await world.add("lost", endpoint=False)
    [stale] = (await world.leaks()).addresses
    await world.allocator.release_handle("net.lost")
    await world.allocator.assign_address(stale.address, AddressesWanted("n1", "net.lost"))
    released = await world.allocator.release([Release(stale.address)])
    assert released.released == (stale.address,)


async def test_addresses_of_a_node_that_is_gone_need_no_grace_time() -> None:
    world = World()
    await world.add("web", "n2", endpoint=False)
    await world.remove_node("n2")
    assert len((await world.collector.round()).addresses) == 1
    world.now += 16 * MINUTE
    await world.collector.round()
    world.now += 16 * MINUTE
    await world.collector.round()
    assert (await world.store.list(IPAMBlock)).objects == () == (await world.store.list(BlockAffinity)).objects


async def test_a_node_that_is_gone_gives_back_all_in_two_rounds_of_its_own_and_no_other_loses_anything() -> None:
    world = World()
    await world.add("web")
    await world.add("lost", endpoint=False)  # of a node that is there: only after the grace time
    await world.add("gone", "n2", endpoint=False)
    tunnel = {"node": "n2", "type": "ipipTunnelAddress"}
    await world.allocator.assign(AddressesWanted("n2", "ipip-tunnel-addr-n2", tunnel, use="Tunnel"))
    await world.remove_node("n2")
    assert len((await world.collector.round_of({"n2"})).addresses) == 2
    assert len((await world.collector.round_of({"n2"})).blocks) == 1
    assert not (await world.collector.round_of({"n2"})).anything
    assert await world.held() == ["net.lost", "net.web"]
    assert {one.spec.node for one in (await world.store.list(BlockAffinity)).objects} == {"n1"}
    assert await violations(world.store, {}) == []


async def test_nothing_is_given_back_of_a_node_that_has_pods_or_was_made_anew() -> None:
    world = World()
    await world.add("web", "n2")
    await world.add("gone", "n2", endpoint=False)
    assert not (await world.collector.round_of({"n2"})).anything  # it is there
    await world.remove_node("n2")
    assert not (await world.collector.round_of({"n2"})).anything  # it has a pod
    world.store.spoil((await world.store.list(WorkloadEndpoint)).objects[0])
    assert not (await world.collector.round_of({"n2"})).anything  # it may have one
    assert await world.held() == ["net.gone", "net.web"]


async def test_a_node_that_is_made_anew_between_two_readings_keeps_what_it_has() -> None:
    class Returning(MemoryStore):
        async def get(self, kind: Any, name: str, namespace: str | None = None) -> Any:
            if kind is Node and ("Node", "", name) not in self.objects:
                await self.create(Node.make(name))
            return await super().get(kind, name, namespace)

    world = World()
    await world.add("young", "n2", endpoint=False)
    await world.remove_node("n2")
    world.store.__class__ = Returning
    assert not (await world.collector.round()).addresses
    assert await world.held() == ["net.young"]


async def test_a_reading_that_is_doubted_frees_nothing_and_its_suspects_grow_older() -> None:
    world = World()
    await world.add("lost", endpoint=False)
    doubts = ["it looks wrong", "it looks wrong", ""]
    collector = Collector(world.store, world.allocator, now_ns=lambda: world.now, doubt=lambda reading: doubts.pop(0))
    await collector.round()
    world.now += 15 * MINUTE
    assert not (await collector.round()).anything
    assert len((await collector.round()).addresses) == 1


async def test_a_handle_that_a_crash_left_empty_is_deleted_after_the_grace_time() -> None:
    world = World(atomic=False)
    await world.store.create(IPAMHandle.make("net.x", handle_id="net.x", block={"10.65.0.0/28": 1}, deleted=False))
    await world.collector.round()
    assert len((await world.store.list(IPAMHandle)).objects) == 1
    world.now += 16 * MINUTE
    assert (await world.collector.round()).handles == ("net.x",)


async def test_a_node_keeps_one_block_and_its_other_empty_ones_are_released() -> None:
    world = World()
    await world.add("many", endpoint=False, addresses=40)
    await world.allocator.release_handle("net.many")
    assert len((await world.store.list(IPAMBlock)).objects) == 3
    await world.collector.round()
    world.now += 16 * MINUTE
    assert len((await world.collector.round()).blocks) == 2
    assert len((await world.store.list(IPAMBlock)).objects) == 1
    assert await violations(world.store, {}) == []


async def test_the_collector_continues_after_the_store_was_away() -> None:
    class Away(MemoryStore):
        async def list(self, what: Any) -> Any:
            if self.calls["asked"] < 2:
                self.calls["asked"] += 1
                raise Unavailable("the store does not answer")
            looked.set()
            return (await super().list(what)).objects

    looked = asyncio.Event()
    store = Away()
    collector = Collector(store, Allocator(store), grace_seconds=0)
    collector.grace_seconds = 0
    running = asyncio.create_task(collector.run())
    await looked.wait()
    running.cancel()


async def test_while_it_is_paused_nothing_is_collected() -> None:
    store, asked = MemoryStore(), asyncio.Event()

    def paused() -> bool:
        asked.set()
        return True

    running = asyncio.create_task(Collector(store, Allocator(store), grace_seconds=0, paused=paused).run())
    await asked.wait()
    running.cancel()
    assert not store.calls


def test_a_grace_time_does_not_follow_the_wall_clock() -> None:
    assert signature(Collector).parameters["now_ns"].default is time.monotonic_ns


async def test_a_pod_whose_record_cannot_be_read_is_not_gone_and_holds_up_no_other() -> None:
    world = World()
    await world.add("web")
    await world.add("gone", endpoint=False)
    await world.store.delete((await world.store.list(WorkloadEndpoint)).objects[0])
    spoilt = await world.store.create(WorkloadEndpoint.make("n1-k8s-web-eth0", "default", node="n1", pod="web"))
    world.store.spoil(spoilt)
    await world.collector.round()
    world.now += 15 * MINUTE
    await world.collector.round()
    assert await world.held() == ["net.web"]


async def test_a_node_whose_record_cannot_be_read_is_not_gone() -> None:
    world = World()
    await world.add("young", "n2", endpoint=False)
    world.store.spoil(await world.store.get(Node, "n2"))
    await world.collector.round()
    assert await world.held() == ["net.young"]


async def test_a_block_that_cannot_be_read_keeps_its_handles_and_holds_up_no_other() -> None:
    world = World()
    await world.add("web", endpoint=False)
    await world.add("gone", "n2", endpoint=False)
    first = next(one for one in (await world.store.list(IPAMBlock)).objects if one.spec.affinity == "host:n1")
    world.store.spoil(first)
    await world.collector.round()
    world.now += 15 * MINUTE
    await world.collector.round()
    assert [one.spec.handle_id for one in (await world.store.list(IPAMHandle)).objects] == ["net.web"]


async def test_an_address_whose_handle_cannot_be_read_is_released() -> None:
    world = World()
    await world.add("gone", endpoint=False)
    await world.add("other", endpoint=False)
    world.store.spoil((await world.store.list(IPAMHandle)).objects[0])
    await world.collector.round()
    world.now += 15 * MINUTE
    await world.collector.round()
    assert await world.held() == []


async def test_what_cannot_be_read_is_reported_in_each_round_until_it_can() -> None:
    world = World()
    await world.add("web")
    reports: list[tuple[Notice, ...]] = []
    collector = Collector(world.store, world.allocator, report=reports.append)
    await collector.round()
    spoilt = (await world.store.list(IPAMHandle)).objects[0]
    world.store.spoil(spoilt)
    await collector.round()
    await world.store.delete(spoilt)
    await collector.round()
    first, [notice], last = reports
    assert first == last == ()
    assert (notice.kind, notice.name) == ("IPAMHandle", spoilt.name)
    assert "it cannot be read" in str(notice)
