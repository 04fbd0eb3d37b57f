"""The invariants as the agent runs them: from what it knows itself, twice if need be, and again after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bgp.protocol import Learned, Withdrawn
from bgp.speaker import LearnedPath
from datastore.kinds.ipam import IPAMBlock
from felix_py.checks import AT_REST_SECONDS, DEL_SECONDS, Checks
from felix_py.routes.touched import MOST
from felix_py.snapshot import Endpoint
from kernel.link_codec import Link
from kernel.netlink import KernelError
from kernel.route import RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import BLOCK, HOLE, REMOTE, FakeNode, affinity, endpoint, node, pool
from tests.felix_py.fakes import until
from tests.felix_py.test_invariants import CONTAINER
from tests.felix_py.test_invariants import block as made_block

FAR = Prefix.parse("10.65.3.0/26")
HANDLE = f"net.{CONTAINER}"


def sound(folder: Path, *, repair: str = "true") -> FakeNode:
    block = made_block().with_spec(allocations=(None,) * 64, unallocated=tuple(range(64)), attributes=())
    return FakeNode(folder, node(), pool(), affinity(), block, FELIX_REPAIR=repair)


async def change_without_record(one: FakeNode) -> None:
    """Have another program put a route; return when the agent has heard of it and has followed."""
    changes = one.agent.changes
    one.kernel.report(one.kernel.foreign_put(Prefix.parse("198.51.100.0/24"), RouteSpec(3, 50)))
    await until(lambda: one.agent.changes >= changes + 2)  # at once, and when the burst is over


async def test_a_sound_node_violates_nothing_and_its_blocks_are_read_once_for_each_who_asks(tmp_path: Path) -> None:
    one = sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        asked = one.store.calls.copy()
        checks = Checks(agent, frozenset, second_look_seconds=0)
        for _ in range(2):
            report = await checks.run()
            assert (report.checked, report.violated) == (8, ())
        assert one.store.calls - asked == {"get IPAMBlock": 2}


async def test_at_rest_the_datastore_is_not_asked_and_after_a_pod_it_is(tmp_path: Path) -> None:
    one = sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        checks = Checks(agent, frozenset, second_look_seconds=0)
        await checks.run(anew=False)
        asked = one.store.calls.copy()
        for _ in range(3):
            await change_without_record(one)
            listed = one.kernel.listings
            assert not (await checks.run(anew=False)).violated
            assert one.kernel.listings == listed + 1, "it looks"
        assert one.store.calls == asked
        agent.snapshot.attach(Endpoint.of(endpoint()))
        texts = [found.text for found in (await checks.run(anew=False)).violated]
        assert "address 10.65.1.2/32 of pod default/web is not allocated in any block" in texts
        assert one.store.calls - asked == {"get IPAMBlock": 2}  # and again at the second look


async def test_a_datastore_that_does_not_answer_violates_nothing(tmp_path: Path) -> None:
    one = sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        checks = Checks(agent, frozenset, second_look_seconds=0)
        one.store.away = True
        assert not (await checks.run()).violated
        one.store.away = False
        await one.store.delete(await one.store.get(IPAMBlock, "10-65-1-0-26"))
        assert [found.number for found in (await checks.run()).violated] == [3]


async def test_blocks_that_could_not_be_read_are_no_sound_ones_and_are_read_at_the_next_check(tmp_path: Path) -> None:
    one = sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        await one.store.delete(await one.store.get(IPAMBlock, "10-65-1-0-26"))
        checks = Checks(agent, frozenset, second_look_seconds=0, clock=lambda: 0.0)
        one.store.away = True
        assert not (await checks.run(anew=False)).violated
        one.store.away = False
        assert [found.number for found in (await checks.run(anew=False)).violated] == [3]


async def test_with_repair_off_a_route_of_ours_that_is_deleted_is_reported_at_the_next_check(tmp_path: Path) -> None:
    one = sound(tmp_path, repair="false")
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        checks = Checks(agent, frozenset, second_look_seconds=0, clock=lambda: 0.0)
        assert not (await checks.run(anew=False)).violated
        one.kernel.report(one.kernel.foreign_remove(BLOCK))
        await until(lambda: BLOCK not in agent.routing.writer.fib.held)
        assert 5 in {found.number for found in (await checks.run(anew=False)).violated}


async def test_what_persists_is_reported_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        one.kernel.routes[Prefix.parse("10.65.7.0/26"), 1030] = HOLE
        checks = Checks(agent, frozenset, second_look_seconds=0)
        for _ in range(2):
            assert {found.number for found in (await checks.run()).violated} == {3, 5}
        assert caplog.text.count("invariant 3 is violated: blackhole 10.65.7.0/26") == 1
        assert checks.violations == 2


async def test_a_container_without_its_pod_is_a_leak_if_no_del_comes_for_long(tmp_path: Path) -> None:
    now, there = 0.0, {HANDLE}
    one = FakeNode(tmp_path, node(), pool(), affinity(), made_block())
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        checks = Checks(agent, frozenset, lambda links: frozenset(there), second_look_seconds=0, clock=lambda: now)
        texts = []
        for seconds in (0.0, DEL_SECONDS - 1, DEL_SECONDS):
            now = seconds
            texts.append([found.text for found in (await checks.run()).violated])
        assert texts[:2] == [[], []]
        assert texts[2] == [f"address 10.65.1.1/32 is allocated to {HANDLE} (pod web), which no endpoint has"]
        there.clear()
        now = 2 * DEL_SECONDS
        await checks.run()
        there.add(HANDLE)
        assert not (await checks.run()).violated, "it is another container by then"


async def test_a_check_lists_the_devices_once_also_for_those_of_containers(tmp_path: Path) -> None:
    one, seen = sound(tmp_path), list[str]()

    def outliving(links: Iterable[Link]) -> frozenset[str]:
        seen.extend(link.name for link in links)
        return frozenset()

    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        listed = one.kernel.listings
        assert not (await Checks(agent, frozenset, outliving, second_look_seconds=0).run()).violated
        assert (one.kernel.listings - listed, seen) == (1, ["eth0"])


async def test_what_is_gone_at_the_second_look_is_no_violation(tmp_path: Path) -> None:
    one = sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        del one.kernel.routes[BLOCK, 1030]
        running = asyncio.create_task(Checks(agent, frozenset, second_look_seconds=0.01).run())
        await until(lambda: one.kernel.dumps == 3)
        one.kernel.routes[BLOCK, 1030] = HOLE
        assert (await running).violated == ()


async def test_a_look_that_fails_is_tried_again_and_ends_nothing(tmp_path: Path) -> None:
    one = sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        one.kernel.link_failures.append(KernelError("read the devices: they changed"))
        before = one.kernel.listings
        running = asyncio.create_task(Checks(agent, frozenset, second_look_seconds=0).run_periodically(0.001))
        await until(lambda: one.kernel.listings > before + 1)
        assert not one.kernel.link_failures
        await change_without_record(one)
        await until(lambda: one.kernel.listings > before + 2)
        assert not running.done()
        running.cancel()


async def learn(one: FakeNode, *prefixes: Prefix) -> None:
    """Have a peer announce these; return when the kernel has their routes."""
    one.peers.report(Learned({prefix: (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),) for prefix in prefixes}))
    await until(lambda: all(map(one.kernel.held, prefixes)))


async def test_all_routes_are_looked_at_at_a_low_rate_also_while_changes_go_on(tmp_path: Path) -> None:
    now, one = 0.0, sound(tmp_path)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        checks = Checks(agent, frozenset, second_look_seconds=0, clock=lambda: now)

        async def dumps() -> int:
            """Return how often three checks read all routes."""
            before = one.kernel.dumps
            for _ in range(3):
                assert not (await checks.run(anew=False)).violated
            return one.kernel.dumps - before

        assert await dumps() == 1
        now = AT_REST_SECONDS
        assert await dumps() == 1, "it is long ago"
        await change_without_record(one)
        assert await dumps() == 0, "nothing happened to a route of ours"
        del one.kernel.routes[BLOCK, 1030]
        await learn(one, REMOTE)
        assert not (await checks.run(anew=False)).violated, "nobody said so"
        await change_without_record(one)
        now = 2 * AT_REST_SECONDS
        assert (await checks.run(anew=False)).violated
        assert (await checks.run(anew=False)).violated, "what is wrong is looked at each time"
        one.kernel.routes[BLOCK, 1030] = HOLE
        assert not (await checks.run(anew=False)).violated


@asynccontextmanager
async def checked(folder: Path) -> AsyncIterator[tuple[FakeNode, Checks]]:
    """A sound node after its first check, for which time stands still."""
    one = sound(folder)
    async with one.running() as agent:
        await until(lambda: one.peers.announced)
        checks = Checks(agent, frozenset, second_look_seconds=0, clock=lambda: 0.0)
        assert not (await checks.run(anew=False)).violated
        yield one, checks


async def test_of_routes_that_something_happened_to_each_is_asked_for_and_no_other(tmp_path: Path) -> None:
    async with checked(tmp_path) as (one, checks):
        await learn(one, FAR)
        before = one.kernel.matched, one.kernel.dumps
        assert not (await checks.run(anew=False)).violated
        assert (one.kernel.matched, one.kernel.dumps) == (before[0] + 1, before[1])


async def test_a_route_that_something_happened_to_and_that_is_wrong_is_found_at_the_next_check(tmp_path: Path) -> None:
    async with checked(tmp_path) as (one, checks):
        await learn(one, REMOTE)
        lost = one.kernel.routes.pop((REMOTE, 1030))
        assert [found.number for found in (await checks.run(anew=False)).violated] == [5]
        one.kernel.routes[REMOTE, 1030] = lost
        assert not (await checks.run(anew=False)).violated
        one.peers.report(Withdrawn((REMOTE,)))
        await until(lambda: not one.kernel.held(REMOTE))
        one.kernel.routes[REMOTE, 1030] = lost
        assert [found.number for found in (await checks.run(anew=False)).violated] == [5]


async def test_a_route_that_another_hides_is_looked_for_in_the_table(tmp_path: Path) -> None:
    async with checked(tmp_path) as (one, checks):
        await learn(one, REMOTE)
        one.kernel.routes[REMOTE, 32] = RouteSpec(12, 32)
        dumps = one.kernel.dumps
        assert not (await checks.run(anew=False)).violated
        assert one.kernel.dumps == dumps + 1


async def test_after_something_happened_to_many_routes_or_a_check_failed_all_are_looked_at(tmp_path: Path) -> None:
    async with checked(tmp_path) as (one, checks):
        await learn(one, *(Prefix((n << 8).to_bytes(4), 24) for n in range(MOST + 1)))
        before = one.kernel.matched, one.kernel.dumps
        assert not (await checks.run(anew=False)).violated
        assert (one.kernel.matched, one.kernel.dumps) == (before[0], before[1] + 1)
        await learn(one, REMOTE)
        del one.kernel.routes[REMOTE, 1030]
        one.kernel.link_failures.append(KernelError("read the devices: they changed"))
        with pytest.raises(KernelError):
            await checks.run(anew=False)
        assert [found.number for found in (await checks.run(anew=False)).violated] == [5]


async def test_the_route_of_a_pod_that_came_since_is_looked_at_whatever_is_wanted(tmp_path: Path) -> None:
    async with checked(tmp_path) as (one, checks):
        one.agent.snapshot.attach(Endpoint.of(endpoint()))
        texts = [found.text for found in (await checks.run(anew=False)).violated]
        assert "pod default/web has no route for 10.65.1.2/32 in the kernel" in texts
