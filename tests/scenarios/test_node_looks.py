"""What a Node's change costs an agent does not grow with the cluster: entries of tables that are looked at are counted.

What is worked out of all Nodes rests between two times, here for as long as the test lasts: what is counted is what a
Node costs that comes, changes or goes meanwhile. At the end all of them are acted on, by one look at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from felix_py import agent as agent_module
from felix_py.agent import HOST_SECONDS
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix
from tests.felix_py.fake_node import FakeNode, affinity, endpoint, node, pool
from tests.felix_py.fakes import until
from tests.looks import Looks, counted_tables

LEAST, FEW, MANY = 50, 100, 1_000
LONGER_THAN_THE_TEST_SECONDS = 3600.0
CAME, MOVED, HEARTBEAT = "came", "moved", "2026-11-30T05:00:00Z"


def other(number: int) -> Node:
    return node(f"m{number:04}", f"198.18.{number // 250}.{1 + number % 250}/16")


def claim(number: int, owner: str) -> str:
    return f"10.{65 + number // 1000}.{number % 1000 // 4}.{number % 4 * 64}/26"


class Cluster:
    """An agent of n1 in a cluster of so many Nodes, each with a block, whose pool wants a tunnel."""

    def __init__(self, folder: Path, many: int) -> None:
        others = [record for number in range(many) for record in self._records(number)]
        known = ClusterInformation.make("default", clusterGUID="ours")
        blocks = affinity("10.79.0.0/26")
        self.one = FakeNode(folder, known, node(), pool("10.64.0.0/12", ipipMode="CrossSubnet"), blocks, *others)
        self.many, self.marks = many, 0
        self.looks = Looks()

    @staticmethod
    def _records(number: int) -> tuple[Node, BlockAffinity]:
        made = other(number)
        return made, affinity(claim(number, made.name), made.name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.one.running() as agent:
            await self.rest()
            self.looks = counted_tables(LEAST, agent)
            yield

    async def rest(self) -> None:
        """Return when the agent has done what it was told until now: it announces a borrowed address told last."""
        await asyncio.sleep(2 * HOST_SECONDS)  # what it gathers before it acts is due before this timer
        self.marks += 1
        told = f"10.78.0.{self.marks}/32"
        self.one.store.put(endpoint(told, f"c{self.marks}", f"mark{self.marks}"))
        await until(lambda: Prefix.parse(told) in self.one.peers.announced)

    def sessions(self) -> set[str]:
        speaker = self.one.peers.speaker
        return {session.address for session in speaker.neighbours} if speaker else set()


async def a_node_renews_its_status(there: Cluster) -> None:
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": HEARTBEAT}
    there.one.store.put(other(7).model_copy(update={"status": {"conditions": [condition]}}))


async def another_program_annotates_a_node(there: Cluster) -> None:
    kept = other(8).metadata.annotations
    there.one.store.put(other(8).with_metadata(annotations={**kept, "example.com/seen": HEARTBEAT}))


async def nodes_come_one_by_one(there: Cluster) -> None:
    for number in range(10):
        there.one.store.put(node(f"{CAME}{number}", f"198.19.0.{1 + number}/16"))
        await there.rest()
        there.one.store.put(affinity(f"10.77.0.{64 * (number % 4)}/26", f"{CAME}{number}"))
        await there.rest()


async def a_node_is_labelled(there: Cluster) -> None:
    there.one.store.put(other(9).with_metadata(labels={"rack": "a"}))


async def a_node_gets_another_address(there: Cluster) -> None:
    there.one.store.put(node(other(10).name, "198.19.0.200/16"))


async def a_node_is_renamed(there: Cluster) -> None:
    there.one.store.remove(other(11))
    await there.rest()
    there.one.store.put(node(MOVED, "198.19.0.201/16"))


async def a_node_goes(there: Cluster) -> None:
    there.one.store.remove(affinity(claim(12, other(12).name), other(12).name))
    there.one.store.remove(other(12))


async def the_first_node_of_its_subnet_goes(there: Cluster) -> None:
    there.one.store.remove(other(0))


async def a_route_of_the_host_comes_and_goes(there: Cluster) -> None:
    kernel, of_host = there.one.kernel, RouteSpec(3, hops=(NextHop(2),), metric=50)
    kernel.report(kernel.foreign_put(Prefix.parse("198.51.100.0/24"), of_host))
    await there.rest()
    kernel.report(kernel.foreign_remove(Prefix.parse("198.51.100.0/24"), of_host.metric))


Change = Callable[[Cluster], Awaitable[None]]
CHANGES: tuple[Change, ...] = (
    a_node_renews_its_status,
    another_program_annotates_a_node,
    nodes_come_one_by_one,
    a_node_is_labelled,
    a_node_gets_another_address,
    a_node_is_renamed,
    a_node_goes,
    the_first_node_of_its_subnet_goes,
    a_route_of_the_host_comes_and_goes,
)


class Found:
    """What was looked at for each change, and how often the sessions were stated: for them, and at the end."""

    def __init__(self) -> None:
        self.looks: dict[str, dict[str, int]] = {}
        self.stated_meanwhile = self.stated_at_the_end = 0
        self.gone: set[str] = set()
        self.come: set[str] = set()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Found]:
    async def measured(many: int) -> Found:
        there, result = Cluster(tmp_path_factory.mktemp("agent"), many), Found()
        stated = there.one.deeds.count
        async with there.running():
            before, first = there.sessions(), stated("configure")
            for change in CHANGES:
                await there.rest()
                there.looks.take()
                await change(there)
                await there.rest()
                result.looks[change.__name__] = there.looks.take()
            result.stated_meanwhile = stated("configure") - first
            there.one.store.put(BGPConfiguration.make("default"))
            await until(lambda: there.sessions() != before)
            result.stated_at_the_end = stated("configure") - first
            result.gone, result.come = before - there.sessions(), there.sessions() - before
        return result

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(agent_module, "rest_seconds", lambda nodes: LONGER_THAN_THE_TEST_SECONDS)
        return {many: asyncio.run(measured(many)) for many in (FEW, MANY)}


@pytest.mark.parametrize("change", [change.__name__ for change in CHANGES])
def test_a_node_costs_as_much_among_many_as_among_few(found: dict[int, Found], change: str) -> None:
    among_few, among_many = found[FEW].looks[change], found[MANY].looks[change]
    grown = {table: count for table, count in among_many.items() if count > among_few.get(table, 0) + LEAST}
    assert not grown, f"entries looked at among {MANY} Nodes"


@pytest.mark.parametrize("many", [FEW, MANY])
def test_all_that_changed_meanwhile_is_acted_on_at_once(found: dict[int, Found], many: int) -> None:
    assert found[many].stated_meanwhile == 0
    assert found[many].stated_at_the_end == 1
    assert found[many].come == {*(f"198.19.0.{1 + number}" for number in range(10)), "198.19.0.200", "198.19.0.201"}
    assert found[many].gone == {str(one.ipv4).partition("/")[0] for one in map(other, (0, 10, 11, 12))}
