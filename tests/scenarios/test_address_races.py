"""Any order of steps, any process killed between any two of them, any write answered late or not at all.

Each process is an allocator of its own over one store. Its calls wait until the test lets one go on, so every
decision is taken from copies that may be as old as one likes; there is no thread and no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from datastore.errors import DatastoreError, Unavailable
from datastore.fields import Address
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.record import Resource
from datastore.store import Interest, Listed, Named, Store, Summary, Unreadable, Write
from ipam import block as blocks
from ipam.affinities import Affinities
from ipam.allocator import AddressesWanted, Allocator
from ipam.batch import Release
from ipam.collector import Collector
from ipam.errors import IpamError
from ipam.names import host_affinity
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import config, node, owners, pool, violations

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Named)
T = TypeVar("T")

HOSTS = ("n1", "n2", "n3")
AT_ONCE = 4


@dataclass
class Call:
    """One call of a store's verb that waits to be carried out."""

    carry_out: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]
    writes: bool


class SteppedStore:
    """A store as one process sees it: every verb waits in `calls` until it is let go, lost or refused."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.atomic = store.atomic
        self.calls: list[Call] = []
        self.over = False

    async def _turn(self, carry_out: Callable[[], Awaitable[T]], *, writes: bool = True) -> T:
        if self.over:
            raise asyncio.CancelledError
        call = Call(carry_out, asyncio.get_running_loop().create_future(), writes)
        self.calls.append(call)
        answer: T = await call.answer
        return answer

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        return await self._turn(lambda: self._store.get(kind, name, namespace), writes=False)

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        return await self._turn(lambda: self._store.list(what), writes=False)

    async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
        return await self._turn(lambda: self._store.summarize(summary), writes=False)

    async def scan(self, summary: Summary[R, S], look: Callable[[S], object]) -> tuple[Unreadable, ...]:
        return await self._turn(lambda: self._store.scan(summary, look), writes=False)

    async def create(self, resource: R) -> R:
        return await self._turn(lambda: self._store.create(resource))

    async def update(self, resource: R) -> R:
        return await self._turn(lambda: self._store.update(resource))

    async def patch(self, kind: type[R], name: str, patch: Mapping[str, Any], namespace: str | None = None) -> R:
        return await self._turn(lambda: self._store.patch(kind, name, patch, namespace))

    async def delete(self, resource: Resource) -> None:
        await self._turn(lambda: self._store.delete(resource))

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        return await self._turn(lambda: self._store.write(*writes))

    def watch(self, *interests: type[Resource] | Interest[Any]) -> Any:
        return self._store.watch(*interests)

    async def close(self) -> None:
        return


@dataclass
class Process:
    """One agent: what it runs, and what it has not answered yet."""

    store: SteppedStore
    allocator: Allocator
    running: dict[asyncio.Task[Any], tuple[str, str]] = field(default_factory=dict)


class ManyProcesses(RuleBasedStateMachine):
    """Three hosts, one small pool, requests of all kinds, and every mishap at every step."""

    atomic = True
    strict = False
    compares = True

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 10**18
        self.truth = self.made_truth()
        self.processes = {host: self.started() for host in HOSTS}
        self.in_use: dict[Address, str] = {}
        self.unsure: set[str] = set()
        self.host_of: dict[str, str] = {}

    def made_truth(self) -> Store:
        """Return the store of all processes: a pool, three nodes and no address."""
        return MemoryStore(*self.furniture(), atomic=self.atomic, compares=self.compares)

    def witness(self) -> Store:
        """Return a store to look at what there is, without changing it."""
        return self.truth

    @classmethod
    def furniture(cls) -> tuple[Resource, ...]:
        return (
            pool("pods", "10.65.0.0/28", block_size=30),
            config(strict_affinity=cls.strict),
            *map(node, HOSTS),
        )

    def started(self) -> Process:
        store = SteppedStore(self.truth)
        return Process(store, Allocator(store, now_ns=self.clock))

    def clock(self) -> int:
        self.now += 1
        return self.now

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def settle(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    def start(self, host: str, kind: str, what: str, work: Callable[[Allocator], Coroutine[Any, Any, Any]]) -> None:
        process = self.processes[host]
        if len(process.running) < AT_ONCE:
            process.running[self.loop.create_task(work(process.allocator))] = (kind, what)
            self.run(self.settle())

    @rule(host=st.sampled_from(HOSTS), count=st.sampled_from((1, 1, 1, 3)))
    def assign(self, host: str, count: int) -> None:
        request = AddressesWanted(host, f"net.h{len(self.host_of)}", {"node": host}, ipv4=count)
        self.host_of[request.handle] = host
        self.start(host, "assign", request.handle, lambda allocator: allocator.assign(request))

    @precondition(lambda self: self.in_use)
    @rule(host=st.sampled_from(HOSTS), which=st.integers(0, 100))
    def release(self, host: str, which: int) -> None:
        if len(self.processes[host].running) >= AT_ONCE:
            return
        handle = sorted(set(self.in_use.values()))[which % len(set(self.in_use.values()))]
        self.in_use = {address: owner for address, owner in self.in_use.items() if owner != handle}
        self.unsure.add(handle)
        self.start(host, "release", handle, lambda allocator: allocator.release_handle(handle))

    @precondition(lambda self: self.unsure)
    @rule(which=st.integers(0, 100))
    def release_what_failed(self, which: int) -> None:
        """As a runtime does after an ADD that failed, by the agent of the node."""
        handle = sorted(self.unsure)[which % len(self.unsure)]
        self.start(self.host_of[handle], "release", handle, lambda allocator: allocator.release_handle(handle))

    @rule(host=st.sampled_from(HOSTS), owner=st.sampled_from(HOSTS), must_be_empty=st.booleans())
    def give_up_blocks(self, host: str, owner: str, must_be_empty: bool) -> None:
        self.start(
            host, "give up", owner, lambda allocator: allocator.release_affinity(owner, must_be_empty=must_be_empty)
        )

    @rule()
    def a_minute_passes(self) -> None:
        self.now += 61 * 10**9

    @rule(host=st.sampled_from(HOSTS), which=st.integers(0, 3), steps=st.integers(1, 8))
    def go_on(self, host: str, which: int, steps: int) -> None:
        for _ in range(steps):
            self.step(host, which)

    def step(self, host: str, which: int = 0) -> None:
        calls = self.processes[host].store.calls
        if calls:
            self.run(self.answer(calls.pop(which % len(calls))))
            self.reap(host)

    async def answer(self, call: Call) -> None:
        try:
            result = await call.carry_out()
        except DatastoreError as refusal:
            call.answer.set_exception(refusal)
        else:
            call.answer.set_result(result)
        await self.settle()

    @rule(host=st.sampled_from(HOSTS), which=st.integers(0, 3), carried_out=st.booleans())
    def no_answer(self, host: str, which: int, carried_out: bool) -> None:
        calls = self.processes[host].store.calls
        if calls:
            self.run(self.lose(calls.pop(which % len(calls)), carried_out))
            self.reap(host)

    async def lose(self, call: Call, carried_out: bool) -> None:
        if carried_out:
            await self.carry_out_unheard(call)
        call.answer.set_exception(Unavailable("the store does not answer"))
        await self.settle()

    async def carry_out_unheard(self, call: Call) -> None:
        try:
            await call.carry_out()
        except DatastoreError:
            return

    @rule(host=st.sampled_from(HOSTS), which=st.integers(0, 3), carried_out=st.booleans(), adopts=st.booleans())
    def kill(self, host: str, which: int, carried_out: bool, adopts: bool) -> None:
        """End a process at once, one of the writes it waits for having arrived or none, and start it again."""
        killed = self.processes[host]
        if calls := killed.store.calls if carried_out else ():
            self.run(self.carry_out_unheard(calls[which % len(calls)]))
        self.unsure |= {what for kind, what in killed.running.values() if kind != "give up"}
        self.bury(killed)
        self.processes[host] = self.started()
        if adopts:
            self.start(host, "give up", host, lambda allocator: allocator.adopt(host))

    def bury(self, killed: Process) -> None:
        """Let the coroutines of a dead process end without another word to the store."""
        killed.store.over = True
        for call in killed.store.calls:
            call.answer.cancel()
        for _ in range(3):
            for task in asyncio.all_tasks(self.loop):
                if task in killed.running:
                    task.cancel()
            self.run(self.settle())

    def reap(self, host: str) -> None:
        """Note what the process's requests have brought."""
        process = self.processes[host]
        for task in [task for task in process.running if task.done()]:
            kind, what = process.running.pop(task)
            failure = task.exception()
            assert failure is None or isinstance(failure, IpamError | DatastoreError), failure
            if kind == "release" and failure is None:
                self.unsure.discard(what)
            elif kind == "assign" and failure is not None:
                self.unsure.add(what)
            elif kind == "assign":
                for address in task.result().ipv4:
                    assert address not in self.in_use, f"{address} of {self.in_use[address]} was given to {what} too"
                    self.in_use[address] = what

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.run(violations(self.witness(), self.in_use, quiet=False)) == []

    def finish(self, host: str, before_writing: bool = False, watched: bool = False) -> None:
        """Let a process go on until it wants nothing more of the store, or until it wants to write."""
        calls = self.processes[host].store.calls
        while calls and not (before_writing and calls[0].writes):
            self.step(host)
            if watched:
                self.nothing_is_wrong()

    def close(self) -> None:
        for process in self.processes.values():
            self.bury(process)
        self.loop.close()

    def teardown(self) -> None:
        try:
            self.all_comes_to_rest()
        finally:
            self.close()

    def all_comes_to_rest(self) -> None:
        """Whatever happened: once requests end and unsure ones are released, all is as it should be."""
        for _ in range(5000):
            waiting = [host for host in HOSTS if self.processes[host].store.calls]
            if not waiting:
                break
            for host in waiting:
                self.step(host)
        assert not any(process.running for process in self.processes.values())
        self.run(self.tidy(self.truth))
        assert self.run(violations(self.witness(), self.in_use)) == []

    async def tidy(self, store: Store) -> None:
        """Do what agents that start anew, the runtime's DELs and the collector do."""
        for host in HOSTS:
            agent = Allocator(store, now_ns=self.clock)
            await agent.adopt(host)
            for handle in sorted(self.unsure):
                if self.host_of[handle] == host:
                    await agent.release_handle(handle)
        await self.collect(store)

    async def collect(self, store: Store) -> None:
        """Release as the collector does what no DEL found: only in a block that is not its node's any more."""
        allocator = Allocator(store, now_ns=self.clock)
        for block in (await store.list(IPAMBlock)).objects:
            for left in blocks.allocations(block):
                if left.address not in self.in_use:
                    assert not store.atomic
                    assert block.spec.affinity != host_affinity(left.attributes["node"]), f"no DEL found {left}"
                    await allocator.release([Release(left.address, left.handle, left.sequence)])
        await Collector(store, allocator, grace_seconds=0, now_ns=self.clock).round()


class InOrder(ManyProcesses):
    """The same where handle and block are two writes."""

    atomic = False


class Strict(ManyProcesses):
    """The same where no host may borrow."""

    strict = True


class Blind(ManyProcesses):
    """The same on a store that writes without comparing revisions."""

    compares = False


@pytest.mark.parametrize(
    ("machine", "outcome"), [(ManyProcesses, nullcontext()), (Blind, pytest.raises(AssertionError))]
)
def test_only_compare_and_swap_keeps_two_processes_apart(
    machine: type[ManyProcesses], outcome: AbstractContextManager[Any]
) -> None:
    """One process has read the block and is about to write it, when another assigns from it, start to end."""
    world = machine()
    world.assign("n1", 1)
    world.finish("n1")
    with outcome:
        world.assign("n1", 1)
        world.finish("n1", before_writing=True)
        request = AddressesWanted("n1", "net.other", ipv4=1)
        world.start("n2", "assign", request.handle, lambda allocator: allocator.assign(request))
        world.finish("n2")
        world.finish("n1")
        world.nothing_is_wrong()
    world.close()


STEPS = settings(max_examples=40, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))
for machine in (ManyProcesses, InOrder, Strict):
    machine.TestCase.settings = STEPS

TestManyProcesses = ManyProcesses.TestCase
TestInOrder = InOrder.TestCase
TestStrict = Strict.TestCase


def about_to_disown() -> ManyProcesses:
    """Return a world where n2 has marked the affinity of n1's only block, and is about to take the owner off."""
    world = ManyProcesses()
    world.assign("n1", 1)
    world.finish("n1")
    world.start("n2", "give up", "n1", lambda allocator: allocator.release_affinity("n1"))
    world.finish("n2", before_writing=True)
    world.step("n2")
    [marked] = world.run(world.truth.list(BlockAffinity)).objects
    assert marked.spec.state == "pendingDeletion"
    return world


@pytest.mark.parametrize("again", ["assign", "claim"])
def test_a_host_that_comes_back_during_a_release_is_never_confirmed_on_a_block_it_loses(again: str) -> None:
    world = about_to_disown()
    [block] = world.run(world.truth.list(IPAMBlock)).objects
    if again == "assign":
        world.assign("n1", 1)
    else:
        claims = Affinities(world.processes["n1"].store, world.clock)
        world.start("n1", "give up", "n1", lambda _: claims.claim("n1", block.network))
    world.finish("n1", watched=True)
    [affinity] = world.run(world.truth.list(BlockAffinity)).objects
    assert affinity.confirmed
    world.finish("n2", watched=True)
    world.close()


def test_a_release_that_may_not_go_on_takes_back_only_a_mark_that_still_stands() -> None:
    """The third finds the block in use and reinstates its host, while the second carries on with taking it away."""
    world = about_to_disown()
    world.start("n3", "give up", "n1", lambda allocator: allocator.release_affinity("n1", must_be_empty=True))
    world.finish("n3", watched=True)
    world.finish("n2", watched=True)
    world.close()


def test_a_release_that_begins_before_its_agent_knows_its_blocks_finds_what_no_handle_counts() -> None:
    world = InOrder()
    world.assign("n2", 1)
    world.go_on("n2", which=0, steps=7)  # the block is claimed
    world.go_on("n2", which=1, steps=4)  # and written, while the handle's write waits
    world.kill("n2", which=0, carried_out=False, adopts=True)
    world.release_what_failed(0)
    [block] = world.run(world.truth.list(IPAMBlock)).objects
    assert [left.handle for left in blocks.allocations(block)] == ["net.h0"]
    world.finish("n2")
    [block] = world.run(world.truth.list(IPAMBlock)).objects
    assert list(blocks.allocations(block)) == []
    world.close()


def test_a_claim_is_not_confirmed_over_a_release_that_has_begun() -> None:
    world = ManyProcesses()
    world.assign("n1", 1)
    for _ in range(2):
        world.finish("n1", before_writing=True)
        world.step("n1")  # the affinity as pending, then the block
    world.start("n2", "give up", "n1", lambda allocator: allocator.release_affinity("n1", must_be_empty=True))
    world.finish("n2", before_writing=True)
    world.step("n2")
    world.step("n1")
    world.finish("n2", watched=True)
    world.finish("n1", watched=True)
    assert len(world.in_use) == 1
    world.close()


@pytest.mark.parametrize("written", ["neither", "the handle", "the block"])
@pytest.mark.parametrize("again", ["a new agent", "the same"])
def test_of_an_assignment_of_which_one_write_is_done_nothing_is_left(written: str, again: str) -> None:
    """The agent is killed between the two, or hears of neither; then the runtime's DEL comes."""
    world = InOrder()
    for _ in range(2):  # the first claims the block
        world.finish("n1")
        world.assign("n1", 1)
    world.finish("n1", before_writing=True)
    calls = world.processes["n1"].store.calls
    assert len(calls) == 2 and all(call.writes for call in calls)
    which = ["the handle", "the block"].index(written) if written != "neither" else 0
    if again == "a new agent":
        world.kill("n1", which, carried_out=written != "neither", adopts=True)
    else:
        world.no_answer("n1", which, carried_out=written != "neither")
        world.no_answer("n1", 0, carried_out=False)
    world.finish("n1")
    world.release_what_failed(0)
    world.finish("n1")
    assert len(world.run(owners(world.truth))) == 1
    world.all_comes_to_rest()
    world.close()
