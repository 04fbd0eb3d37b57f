"""What one change costs an agent does not grow with what is there: entries of tables that are looked at are counted.

Pods, devices and routes are 100, and then 100,000, of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp.protocol import Learned, Withdrawn
from bgp.speaker import LearnedPath, LearnedPaths
from datastore.kinds.cluster import FelixConfiguration
from felix_py.agent import HOST_SECONDS, Agent
from felix_py.routes.fib import Fib, Ownership
from felix_py.snapshot import Endpoint, EndpointKey, Snapshot
from kernel.events import AddressChanged, KernelEvent, LinkChanged, RouteChanged
from kernel.link_codec import InterfaceAddress, Link
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import CALI, LEARNED, REMOTE, FakeNode, affinity, endpoint, node, pool
from tests.felix_py.fakes import until
from tests.looks import CountedSet, Looks, counted_tables

LEAST, FEW, MANY = 50, 100, 100_000
FIRST_DEVICE = 1000
"""The index of the first pod's device."""
NEW = FIRST_DEVICE + 10 * MANY
LINK_SCOPE = 253
BY_N2: LearnedPaths = (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)
ADDRESS, BORROWED = "10.159.0.7/32", "10.190.0.7/32"
"""Of the pod that comes and goes; its node has 10.128.0.0/11."""
N3 = pack("192.0.2.3")


def host(base: int, number: int, bits: int = 32) -> Prefix:
    return Prefix((base + (number << 32 - bits)).to_bytes(4), bits)


def pod_link(index: int) -> Link:
    return replace(CALI, index=index, name=f"cali{index}")


def link_local(index: int) -> InterfaceAddress:
    return InterfaceAddress(index, pack("fe80::1"), 64, 10, LINK_SCOPE)


class Loaded:
    """An agent among so many pods of its own, their devices, routes of its peers, and of another daemon.

    Other nodes have a block for each ten of them, as it takes long to make more.
    """

    def __init__(self, folder: Path, many: int) -> None:
        self.many = many
        blocks = (affinity(str(host(0x0AA10000, number, 26)), "n2") for number in range(many // 10))
        records = node(), node("n2", "192.0.2.2/24"), pool("10.128.0.0/10"), affinity("10.128.0.0/11"), *blocks
        of_bird = RouteSpec(12, hops=(NextHop(2, pack("192.0.2.3")),), metric=32)
        routes = [(host(0x1E000000, number, 24), of_bird) for number in range(many)]
        self.one = FakeNode(folder, *records, routes=routes)
        self.marks = 0
        self.looks = Looks()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        indices = range(FIRST_DEVICE, FIRST_DEVICE + self.many)
        self.one.kernel.devices |= {index: pod_link(index) for index in indices}
        self.one.kernel.device_addresses += map(link_local, indices)
        async with self.one.running() as agent:
            for index in indices:
                key, address = EndpointKey("default", f"pod{index}"), host(0x0A800000, index)
                agent.snapshot.attach(Endpoint(key, f"c{index}", f"cali{index}", (address,)))
            learned = {host(0x14000000, number, 24): BY_N2 for number in range(self.many)}
            self.one.peers.report(Learned(learned))
            await agent.routing.state_pods()
            await until(lambda: self.one.kernel.held(list(learned)[-1]))
            await self.rest()
            self.looks = counted_tables(LEAST, agent)
            yield agent

    async def rest(self) -> None:
        """Return when the agent has done what it was told until now, also what it gathers before it does it."""
        await asyncio.sleep(0)
        await asyncio.sleep(2 * HOST_SECONDS)  # its timer is due before this one
        self.marks += 1
        level = ("Info", "Warning")[self.marks % 2]
        told = len(self.one.levels)
        self.one.store.put(FelixConfiguration.make("default", logSeverityScreen=level))
        await until(lambda: len(self.one.levels) > told)

    def report(self, *events: KernelEvent) -> None:
        self.one.kernel.report(*events)


async def a_pod_comes_and_goes(there: Loaded, agent: Agent) -> None:
    await _comes_and_goes(there, agent, ADDRESS)


async def a_pod_with_a_borrowed_address_comes_and_goes(there: Loaded, agent: Agent) -> None:
    await _comes_and_goes(there, agent, BORROWED)


async def _comes_and_goes(there: Loaded, agent: Agent, address: str) -> None:
    """With the events that its device makes, and what the datastore says of it."""
    pod, link, kernel = endpoint(address, "new", "new"), pod_link(NEW), there.one.kernel
    pod = pod.with_spec(interface_name=link.name)
    on_link = RouteChanged(Prefix.parse("fe80::/64"), RouteSpec(2, hops=(NextHop(NEW),), metric=256))
    there.report(kernel.set_link(replace(link, up=False, carrier=False)), kernel.set_link(link))
    await agent.attach(pod, NEW)
    there.report(AddressChanged(link_local(NEW)), on_link)
    there.one.store.put(pod)
    await there.rest()
    assert kernel.held(Prefix.parse(address))
    assert (Prefix.parse(address) in there.one.peers.announced) == (address == BORROWED)
    await agent.detach(pod)
    retired = replace(link, up=False, carrier=False)
    there.report(on_link._replace(gone=True), AddressChanged(link_local(NEW), gone=True))
    there.report(kernel.set_link(retired), kernel.set_link(retired, gone=True))
    there.one.store.remove(pod)
    await there.rest()
    assert not kernel.held(Prefix.parse(address))


async def an_update_comes_and_is_withdrawn(there: Loaded, agent: Agent) -> None:
    del agent
    there.one.peers.report(Learned({REMOTE: BY_N2}))
    await until(lambda: there.one.kernel.held(REMOTE))
    there.one.peers.report(Withdrawn((REMOTE,)))
    await until(lambda: not there.one.kernel.held(REMOTE))
    await there.rest()


async def a_next_hop_of_few_routes_moves(there: Loaded, agent: Agent) -> None:
    """To another device, as a route of the host's says."""
    del agent
    kernel, of_host = there.one.kernel, RouteSpec(3, hops=(NextHop(2),), metric=50)
    kernel.reached[N3] = NextHop(2, N3)
    there.one.peers.report(Learned({REMOTE: (LearnedPath(N3, "192.0.2.3"),)}))
    await until(lambda: kernel.held(REMOTE))
    kernel.reached[N3] = NextHop(3, N3)
    there.report(kernel.foreign_put(Prefix.parse("198.51.100.0/24"), of_host))
    await until(lambda: kernel.held(REMOTE) == LEARNED._replace(hops=(NextHop(3, N3),)))
    there.report(kernel.foreign_remove(Prefix.parse("198.51.100.0/24"), of_host.metric))
    there.one.peers.report(Withdrawn((REMOTE,)))
    await until(lambda: not kernel.held(REMOTE))
    await there.rest()


async def another_program_takes_routes_away(there: Loaded, agent: Agent) -> None:
    """A pod's and a peer's, which are put back."""
    del agent
    taken = [host(0x0A800000, FIRST_DEVICE + 7), host(0x14000000, 7, 24)]
    there.report(*map(there.one.kernel.foreign_remove, taken))
    await until(lambda: all(map(there.one.kernel.held, taken)))
    await there.rest()


async def a_device_of_the_host_comes_and_goes(there: Loaded, agent: Agent) -> None:
    """As that of a container of another program's, which routes lead through as the kernel makes them."""
    del agent
    link = Link(NEW + 1, "veth1234", up=True, carrier=True, mtu=1500, mac=bytes(6), kind="veth")
    on_link = RouteChanged(Prefix.parse("fe80::/64"), RouteSpec(2, hops=(NextHop(link.index),), metric=256))
    there.report(LinkChanged(replace(link, up=False)), LinkChanged(link), on_link)
    there.report(AddressChanged(link_local(link.index)))
    await there.rest()
    there.report(on_link._replace(gone=True), AddressChanged(link_local(link.index), gone=True))
    there.report(LinkChanged(replace(link, up=False, carrier=False)), LinkChanged(link, gone=True))
    await there.rest()


async def a_record_of_another_node_changes(there: Loaded, agent: Agent) -> None:
    """Its claim on a block, and its labels."""
    del agent
    there.one.store.put(affinity("10.160.0.0/26", "n2"), node("n2", "192.0.2.2/24", **{"projectcalico.org/a": "b"}))
    await there.rest()
    there.one.store.remove(affinity("10.160.0.0/26", "n2"))
    await there.rest()


Change = Callable[[Loaded, Agent], Awaitable[None]]
CHANGES: tuple[Change, ...] = (
    a_pod_comes_and_goes,
    a_pod_with_a_borrowed_address_comes_and_goes,
    a_next_hop_of_few_routes_moves,
    an_update_comes_and_is_withdrawn,
    another_program_takes_routes_away,
    a_device_of_the_host_comes_and_goes,
    a_record_of_another_node_changes,
)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, dict[str, int]]]:
    """Return for each size and change how many entries were looked at in which table."""

    async def measured(many: int) -> dict[str, dict[str, int]]:
        there, found = Loaded(tmp_path_factory.mktemp("agent"), many), {}
        async with there.running() as agent:
            for change in CHANGES:
                await there.rest()
                there.looks.take()
                await change(there, agent)
                found[change.__name__] = there.looks.take()
        return found

    return {many: asyncio.run(measured(many)) for many in (FEW, MANY)}


@pytest.mark.parametrize("change", [change.__name__ for change in CHANGES])
def test_a_change_costs_as_much_among_many_as_among_few(
    looked_at: dict[int, dict[str, dict[str, int]]], change: str
) -> None:
    among_few, among_many = looked_at[FEW][change], looked_at[MANY][change]
    grown = {table: count for table, count in among_many.items() if count > among_few.get(table, 0) + LEAST}
    assert not grown, f"entries looked at among {MANY} of each"


def test_walks_and_copies_are_counted_and_questions_are_not() -> None:
    snapshot = Snapshot("n1")
    for number in range(LEAST):
        key = EndpointKey("default", str(number))
        snapshot.attach(Endpoint(key, "c", f"cali{number}", ()))
    looks = counted_tables(LEAST, snapshot)
    assert snapshot.on_devices(["cali7"]) and key in snapshot.endpoints and len(snapshot.endpoints) == LEAST
    assert not looks.take()
    for walk in (list, dict, lambda table: table.keys() - {key}, lambda table: set(table.values())):
        walk(snapshot.endpoints)
        assert looks.take() == {"Snapshot.endpoints": LEAST}


def test_a_set_is_counted_however_it_is_copied_and_not_when_it_is_asked() -> None:
    there = CountedSet(range(LEAST))
    looks = Looks()
    there.look = partial(looks.add, "a set")
    few = {7, LEAST}
    assert 7 in there and few - there == {LEAST} and few & there == {7} and there & few == {7}
    there |= few
    there -= few
    there.update(few)
    assert not looks.take()
    for copy in (set, frozenset, sorted, lambda one: one | few, lambda one: few | one, lambda one: one - few):
        copy(there)
        assert looks.take() == {"a set": LEAST + 1}


def test_a_long_table_that_lies_in_a_short_one_is_counted_too() -> None:
    fib, of_bird = Fib(Ownership()), RouteSpec(12, hops=(NextHop(2, N3),), metric=32)
    fib.load((host(0x1E000000, number, 24), of_bird) for number in range(LEAST))
    looks = counted_tables(LEAST, fib)
    fib.forget_device(3)
    assert not looks.take()
    fib.forget_device(2)
    assert looks.take().get("Fib._foreign_by_device[…]", 0) == LEAST
