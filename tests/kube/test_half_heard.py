"""Each write of an assignment and of a release, carried out and its answer lost; then what every caller does next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from datastore.errors import Conflict, Unavailable
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.store import KubeStore
from datastore.names import workload_endpoint_name
from datastore.record import CRD
from felixctl.ipam.problems import problems
from felixctl.ipam.read_records import read_records
from ipam.allocator import Allocator
from ipam.collector import Collector
from tests.ipam.world import POD, config, node, owners, pod, pool, violations
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy
from tests.kube.half_heard import Witness, flagged_records

PATIENCE_SECONDS = 30.0
NEXT = pod("next")
ASSIGNED = (
    "POST ipamhandles",
    "POST blockaffinities",
    "POST ipamblocks",
    "PUT blockaffinities",
    "PUT ipamblocks",
)
RELEASED = ("PUT ipamblocks", "DELETE ipamhandles")
GIVEN_UP = (
    "PUT blockaffinities",
    "PUT ipamblocks",
    "DELETE ipamblocks",
    "PUT blockaffinities",
    "DELETE blockaffinities",
)


@dataclass
class Half:
    """An allocator whose writes go through the proxy, and a store to see what they did."""

    proxy: FaultyProxy
    allocator: Allocator
    store: KubeStore
    witness: Witness
    bed: Bed

    def lose(self, write: str) -> None:
        method, plural = write.split()
        self.proxy.faults.lose_answer_to = f"{method} /apis/{CRD}/{plural}"

    def lose_request(self, passed: int) -> None:
        self.proxy.faults.pass_answers, self.proxy.faults.lose_requests = passed, 1

    def writes(self) -> set[str]:
        """Return METHOD and kind of the writes that were asked for so far."""
        parts = (request.split() for request in self.proxy.requests if not request.startswith("GET"))
        return {f"{method} {path.removeprefix(f'/apis/{CRD}/').partition('/')[0]}" for method, path in parts}

    async def undo(self) -> None:
        """Do what an ADD's undo and a DEL's journal do."""
        await until_done(lambda: self.allocator.release_handle(POD.handle))

    async def comes_clean(self) -> None:
        """Do what the collector does later, and see that nothing is left."""
        assert await owners(self.witness) == {}, "no address stays assigned until the collector comes"
        await Collector(self.store, self.allocator, grace_seconds=0).round()
        records = await read_records(self.store)
        assert problems(records).count == 0, problems(records)
        assert await violations(self.witness, {}) == []
        assert await flagged_records(self.bed) == []


async def until_done(work: Callable[[], Awaitable[object]]) -> None:
    """Repeat what a journal holds until it is carried out."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await work()
            except (Unavailable, Conflict):
                await asyncio.sleep(0.05)
            else:
                return


@pytest.fixture
async def half(bed: Bed, tmp_path: Path) -> AsyncIterator[Half]:
    owner = bed.open()
    for resource in (pool("pods", "10.65.0.0/24"), config(), node("n1")):
        await owner.create(resource)
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store, witness = KubeStore(proxy.access), Witness(bed.access)
        yield Half(proxy, Allocator(store), store, witness, bed)
        for each in (store, witness, owner):
            await each.close()


async def test_these_are_all_the_writes(half: Half) -> None:
    await half.allocator.assign(POD)
    assert half.writes() == set(ASSIGNED)
    half.proxy.requests.clear()
    await half.allocator.release_handle(POD.handle)
    assert half.writes() == set(RELEASED)
    half.proxy.requests.clear()
    await half.allocator.release_affinity("n1")
    assert half.writes() == set(GIVEN_UP)
    await half.comes_clean()


@pytest.mark.parametrize("write", ASSIGNED)
async def test_an_assignment_whose_write_is_not_heard_of_leaves_nothing(half: Half, write: str) -> None:
    """But a claim that the node's next pod completes, as a kubelet tries again."""
    half.lose(write)
    try:
        given = await half.allocator.assign(POD)
    except Unavailable:
        pass
    else:
        assert await owners(half.witness) == dict.fromkeys(given.ipv4, POD.handle)
    assert not half.proxy.faults.lose_answer_to, "it was lost"
    await half.undo()
    await half.allocator.assign(NEXT)
    await half.allocator.release_handle(NEXT.handle)
    await half.comes_clean()


@pytest.mark.parametrize("write", ASSIGNED)
async def test_an_assignment_is_repeated_after_a_write_that_was_not_heard_of(half: Half, write: str) -> None:
    half.lose(write)
    with pytest.raises(Unavailable):
        await half.allocator.assign(POD)
    await half.undo()
    given = await half.allocator.assign(POD)
    assert await owners(half.witness) == dict.fromkeys(given.ipv4, POD.handle)
    await half.undo()
    await half.comes_clean()


@pytest.mark.parametrize("write", RELEASED)
async def test_a_release_whose_write_is_not_heard_of_is_done_once(half: Half, write: str) -> None:
    await half.allocator.assign(POD)
    other = await Allocator(half.store).assign(NEXT)
    half.lose(write)
    try:
        await half.allocator.release_handle(POD.handle)
    except Unavailable:
        await half.undo()
    assert not half.proxy.faults.lose_answer_to, "it was lost"
    assert await owners(half.witness) == dict.fromkeys(other.ipv4, NEXT.handle)
    await half.allocator.release_handle(NEXT.handle)
    await half.comes_clean()


@pytest.mark.parametrize("write", sorted(set(GIVEN_UP)))
async def test_a_block_whose_release_is_not_heard_of_is_given_up_or_kept_whole(half: Half, write: str) -> None:
    await half.allocator.assign(POD)
    await half.allocator.release_handle(POD.handle)
    half.lose(write)
    with pytest.raises(Unavailable):
        await half.allocator.release_affinity("n1")
    await half.allocator.adopt("n1")
    given = await half.allocator.assign(POD)
    assert await owners(half.witness) == dict.fromkeys(given.ipv4, POD.handle)
    await half.undo()
    await half.comes_clean()


@pytest.mark.parametrize("passed", range(len(ASSIGNED) + len(RELEASED)))
async def test_a_write_that_never_arrives_leaves_nothing_either(half: Half, passed: int) -> None:
    """Each in its turn of an assignment and its release; a handle may be left for the collector."""
    half.lose_request(passed)
    try:
        await half.allocator.assign(POD)
        await half.allocator.release_handle(POD.handle)
    except Unavailable:
        await half.undo()
    assert not half.proxy.faults.lose_requests, "it was lost"
    await half.allocator.assign(NEXT)
    await half.allocator.release_handle(NEXT.handle)
    await half.comes_clean()


async def test_what_is_written_on_a_pod_is_written_once_whatever_is_heard_of(half: Half) -> None:
    name = workload_endpoint_name("n1", "web")
    meant = WorkloadEndpoint.make(
        name, "red", node="n1", pod="web", interface_name="cali1", ip_networks=["10.65.0.1/32"], container_id="c"
    )
    owner = half.bed.open()
    await owner.create(meant.with_spec(ip_networks=[]))
    patch = "PATCH /api/v1/namespaces/red/pods/web/status"
    half.proxy.faults.lose_answer_to = patch
    with pytest.raises(Unavailable):
        await half.store.create(meant)
    attached = await half.store.create(meant)
    assert [str(address) for address in attached.addresses] == ["10.65.0.1"]
    half.proxy.faults.lose_answer_to = patch
    with pytest.raises(Unavailable):
        await half.store.delete(attached)
    with pytest.raises(Conflict):  # it was carried out: whoever journaled it reads again
        await half.store.delete(attached)
    await half.store.delete(await half.store.get(WorkloadEndpoint, name, "red"))
    assert (await half.witness.get(WorkloadEndpoint, name, "red")).annotations["cni.projectcalico.org/podIP"] == ""
    await owner.close()
