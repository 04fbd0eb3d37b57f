"""What every store does. A new store is added to STORES, and nothing else changes here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import datastore
from datastore.errors import AlreadyExists, BadRecord, Conflict, Invalid, NotFound, Unavailable
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.names import workload_endpoint_name
from datastore.record import Resource
from datastore.store import (
    Changed,
    Create,
    Delete,
    Gone,
    InSync,
    Interest,
    Listed,
    Store,
    Summary,
    Unreadable,
    Update,
    WatchEvent,
)
from datastore.summaries import ENDPOINTS, HANDLES
from tests.datastore.memory_store import MemoryStore
from tests.kube.bed import Bed

_numbers = count()


@dataclass(frozen=True)
class Shared:
    """A datastore that is empty at first, and a way for each client to open it."""

    open: Callable[[], Store]


def in_memory(request: pytest.FixtureRequest, folder: Path) -> Shared:
    """One store, as a database in memory has one owner."""
    store = datastore.open("sqlite:///:memory:")
    return Shared(lambda: store)


def in_a_file(request: pytest.FixtureRequest, folder: Path) -> Shared:
    return Shared(lambda: datastore.open(f"sqlite://{folder}/felix.db"))


def in_a_dictionary(request: pytest.FixtureRequest, folder: Path) -> Shared:
    """The fake that other tests use."""
    store = MemoryStore()
    return Shared(lambda: store)


def in_kubernetes(request: pytest.FixtureRequest, folder: Path) -> Shared:
    """A real API server, in whose cluster nodes and pods appear when they are written about."""
    bed: Bed = request.getfixturevalue("bed")
    return Shared(bed.open)


STORES = [in_memory, in_a_file, in_a_dictionary, in_kubernetes]


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    made: Shared = request.param(request, tmp_path)
    return made


@pytest.fixture
async def shared(fresh: Shared) -> AsyncIterator[Shared]:
    opened: list[Store] = []

    def remembered() -> Store:
        opened.append(fresh.open())
        return opened[-1]

    yield Shared(remembered)
    for store in opened:
        await store.close()


@pytest.fixture
def store(shared: Shared) -> Store:
    return shared.open()


def pool(name: str = "pods", **spec: Any) -> IPPool:
    return IPPool.make(name, **({"cidr": f"10.{next(_numbers) % 256}.0.0/16"} | spec))


def handle(name: str = "k8s-pod-network.1", **spec: Any) -> IPAMHandle:
    return IPAMHandle.make(name, handle_id=name, block={}, **spec)


def affinity(node: str, *, deleted: str = "false", **labels: str) -> BlockAffinity:
    return BlockAffinity.make(
        f"{node}-10-0-0-0-26", labels=labels, state="pending", node=node, cidr="10.0.0.0/26", deleted=deleted
    )


def endpoint(namespace: str, pod: str, node: str = "n1") -> WorkloadEndpoint:
    name = workload_endpoint_name(node, pod)
    return WorkloadEndpoint.make(
        name, namespace, node=node, pod=pod, interface_name="cali1", ip_networks=["10.0.0.1/32"]
    )


def mark(resource: IPPool, text: str) -> IPPool:
    """Return the pool with something changed that a reader can tell."""
    return resource.with_metadata(annotations={"mark": text})


@asynccontextmanager
async def watching(
    store: Store, *interests: type[Resource] | Interest[Any]
) -> AsyncIterator[AsyncIterator[WatchEvent]]:
    """Watch, and close the watch at the end of the test rather than some time later."""
    watch = store.watch(*interests)
    try:
        yield watch
    finally:
        assert isinstance(watch, AsyncGenerator)
        await watch.aclose()


async def next_event(watch: AsyncIterator[WatchEvent]) -> WatchEvent:
    """Return the next event, which has to come some time."""
    return await asyncio.wait_for(anext(watch), 30)


async def events_until_in_sync(watch: AsyncIterator[WatchEvent]) -> list[WatchEvent]:
    events: list[WatchEvent] = []
    while not isinstance(event := await next_event(watch), InSync):
        events.append(event)
    return events


async def test_what_is_created_can_be_read_by_another_client(shared: Shared) -> None:
    written = await shared.open().create(pool(natOutgoing=True))
    assert await shared.open().get(IPPool, "pods") == written
    assert written.revision and written.metadata.uid and written.created


async def test_a_stored_object_is_what_was_given_plus_revision_uid_and_time(store: Store) -> None:
    given = IPPool.read(
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "IPPool",
            "metadata": {"name": "pods", "labels": {"a": "b"}, "creationTimestamp": None},
            "spec": {"cidr": "10.0.0.0/16", "aFieldOfTomorrow": {"deep": [1, None, 1.5]}},
            "status": {"conditions": []},
        }
    )
    stored = (await store.create(given)).to_json()
    assert {"resourceVersion", "uid", "creationTimestamp"} <= stored["metadata"].keys()
    assert stored == {
        **given.to_json(),
        "apiVersion": stored["apiVersion"],  # that of the version in which the store keeps it
        "metadata": {**_of_the_store(stored["metadata"]), "name": "pods", "labels": {"a": "b"}},
    }


def _of_the_store(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: metadata[key] for key in metadata if key not in ("name", "labels")}


async def test_an_object_created_from_an_export_gets_a_new_identity(store: Store) -> None:
    first = await store.create(pool())
    await store.delete(first)
    second = await store.create(first)
    assert second.metadata.uid != first.metadata.uid
    assert second.revision != first.revision


async def test_creating_twice_is_refused(store: Store) -> None:
    await store.create(pool())
    with pytest.raises(AlreadyExists, match='create IPPool "pods"'):
        await store.create(pool())


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match='get IPPool "pods"'):
        await store.get(IPPool, "pods")
    with pytest.raises(NotFound):
        await store.delete(pool())
    with pytest.raises(NotFound):
        await store.update(pool().with_metadata(resource_version="1"))


async def test_a_kind_and_a_namespace_are_part_of_the_name(store: Store) -> None:
    await store.create(BGPConfiguration.make("default"))
    with pytest.raises(NotFound):
        await store.get(IPPool, "default")
    await store.create(endpoint("red", "w"))
    await store.create(endpoint("blue", "w"))
    name = workload_endpoint_name("n1", "w")
    assert (await store.get(WorkloadEndpoint, name, "red")).namespace == "red"
    assert [each.namespace for each in (await store.list(WorkloadEndpoint)).objects] == ["blue", "red"]
    red = await store.list(Interest(WorkloadEndpoint, namespace="red"))
    assert [each.namespace for each in red.objects] == ["red"]
    with pytest.raises(NotFound):
        await store.get(WorkloadEndpoint, name, "green")


async def test_a_list_is_in_order_of_names(store: Store) -> None:
    for name in ("c", "a", "b"):
        await store.create(pool(name))
    assert [each.name for each in (await store.list(IPPool)).objects] == ["a", "b", "c"]


async def test_a_list_by_labels_has_what_has_all_of_them(store: Store) -> None:
    dotted = "projectcalico.org/affinity-type"
    for node, version in (("n1", "4"), ("n2", "4"), ("n3", "6")):
        await store.create(affinity(node, **{dotted: "host", "version": version}))
    await store.create(affinity("n4"))
    found = (await store.list(Interest(BlockAffinity, labels={dotted: "host", "version": "4"}))).objects
    assert [each.spec.node for each in found] == ["n1", "n2"]
    assert (await store.list(Interest(BlockAffinity, labels={dotted: "host", "version": "5"}))).objects == ()


async def test_a_list_by_node_has_what_is_of_that_node(store: Store) -> None:
    for node in ("n1", "n2"):
        await store.create(Node.make(node))
        await store.create(affinity(node))
        await store.create(endpoint("blue", f"web-{node}", node))
    for kind in (Node, BlockAffinity, WorkloadEndpoint):
        [one] = (await store.list(Interest(kind, node="n2"))).objects
        assert "n2" in one.name
        assert (await store.list(Interest(kind, node="n3"))).objects == ()
    [one] = (await store.list(Interest(WorkloadEndpoint, node="n1", namespace="blue"))).objects
    assert one.name == workload_endpoint_name("n1", "web-n1")
    assert (await store.list(Interest(WorkloadEndpoint, node="n1", namespace="red"))).objects == ()


def test_a_kind_that_names_no_node_cannot_be_filtered_by_one() -> None:
    with pytest.raises(TypeError, match="IPPool names no node"):
        Interest(IPPool, node="n1")


def test_a_complete_list_is_refused_while_records_are_unreadable() -> None:
    read, unreadable = pool(), Unreadable(IPPool, "bad", None, 'IPPool "bad": spec.cidr is required')
    assert Listed((read,)).complete() == (read,)
    with pytest.raises(Invalid, match=r'IPPool "bad": spec\.cidr is required'):
        Listed((read,), (unreadable,)).complete()


async def test_an_update_gives_a_new_revision_and_keeps_the_uid(store: Store) -> None:
    first = await store.create(pool())
    second = await store.update(mark(first, "1"))
    assert second.revision != first.revision
    assert (second.metadata.uid, second.created) == (first.metadata.uid, first.created)
    assert await store.get(IPPool, "pods") == second


async def test_an_update_from_an_old_copy_is_a_conflict_and_changes_nothing(store: Store) -> None:
    first = await store.create(pool())
    second = await store.update(mark(first, "1"))
    with pytest.raises(Conflict, match='update IPPool "pods"'):
        await store.update(mark(first, "2"))
    assert await store.get(IPPool, "pods") == second


async def test_of_many_updates_from_one_copy_one_succeeds(shared: Shared) -> None:
    first = await shared.open().create(pool())
    clients = [shared.open() for _ in range(4)]
    writes = [clients[n % 4].update(mark(first, str(n))) for n in range(20)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, IPPool) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


async def test_compare_and_swap_loops_lose_no_step(shared: Shared) -> None:
    await shared.open().create(handle("h"))

    async def step(store: Store, key: str) -> None:
        while True:
            read = await store.get(IPAMHandle, "h")
            try:
                await store.update(read.with_spec(block={**read.spec.block, key: 1}))
            except Conflict:
                continue
            return

    await asyncio.gather(*(step(shared.open(), f"10.0.0.{n}/32") for n in range(12)))
    assert len((await shared.open().get(IPAMHandle, "h")).spec.block) == 12


async def test_an_update_without_a_revision_is_invalid(store: Store) -> None:
    await store.create(pool())
    with pytest.raises(Invalid, match="resourceVersion"):
        await store.update(pool())


async def test_an_update_that_changes_nothing_is_no_new_revision(store: Store) -> None:
    first = await store.create(pool())
    assert (await store.update(first)).revision == first.revision


async def test_an_update_that_changes_anything_is_a_new_revision_however_long_it_is(store: Store) -> None:
    """Some texts are as long as the one before, and some revisions have a digit more."""
    before = await store.create(pool())
    for text in ("1", "2", "33", *map(str, range(4, 14))):
        after = await store.update(mark(before, text))
        assert after.revision != before.revision
        assert (await store.update(after)).revision == after.revision
        assert (await store.get(IPPool, after.name)) == after
        before = after


async def test_an_update_of_what_was_deleted_and_created_again_is_a_conflict(store: Store) -> None:
    first = await store.create(pool())
    await store.delete(first)
    second = await store.create(pool())
    with pytest.raises(Conflict):
        await store.update(mark(first, "1").with_metadata(resource_version=second.revision))


async def test_a_patch_changes_what_it_names_and_nothing_else(shared: Shared) -> None:
    store, other = shared.open(), shared.open()
    first = await store.create(mark(pool(nat_outgoing=True), "a"))
    await other.update(first.with_spec(disabled=True))
    patched = await store.patch(IPPool, "pods", {"metadata": {"annotations": {"mark": "b", "more": "c"}}})
    assert patched == await other.get(IPPool, "pods")
    assert (patched.annotations, patched.spec.disabled) == ({"mark": "b", "more": "c"}, True)
    assert patched.revision != first.revision and patched.metadata.uid == first.metadata.uid
    removed = await store.patch(
        IPPool, "pods", {"metadata": {"annotations": {"mark": None}}, "spec": {"disabled": None}}
    )
    assert removed.annotations == {"more": "c"}
    assert removed.to_json()["spec"] == first.to_json()["spec"]


async def test_a_patch_with_a_revision_is_a_compare_and_swap(store: Store) -> None:
    first = await store.create(pool())
    second = await store.update(mark(first, "2"))
    with pytest.raises(Conflict):
        await store.patch(IPPool, "pods", {"metadata": {"resourceVersion": first.revision}, "spec": {"disabled": True}})
    assert await store.get(IPPool, "pods") == second
    third = await store.patch(
        IPPool, "pods", {"metadata": {"resourceVersion": second.revision}, "spec": {"disabled": True}}
    )
    assert third.spec.disabled and third.annotations == {"mark": "2"}


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        ({"spec": {"cidr": "nowhere"}}, 'spec.cidr "nowhere" is not a CIDR'),
        ({"metadata": {"name": "others"}}, "can't be changed"),
        ({"kind": "Node"}, 'kind "Node" is not IPPool'),
        ({"metadata": None}, "metadata is required"),
    ],
)
async def test_a_patch_whose_result_is_not_valid_changes_nothing(
    store: Store, patch: dict[str, Any], sentence: str
) -> None:
    first = await store.create(pool())
    with pytest.raises(Invalid) as refused:
        await store.patch(IPPool, "pods", patch)
    assert sentence in str(refused.value)
    assert await store.get(IPPool, "pods") == first


async def test_what_is_not_there_or_flagged_as_deleted_cannot_be_patched(store: Store) -> None:
    with pytest.raises(NotFound, match='patch IPPool "pods"'):
        await store.patch(IPPool, "pods", {"spec": {"disabled": True}})
    flagged = await store.create(handle(deleted=True))
    with pytest.raises(NotFound):
        await store.patch(IPAMHandle, flagged.name, {"spec": {"block": {}}})


async def test_patches_of_different_fields_never_lose_each_other(shared: Shared) -> None:
    stores = [shared.open() for _ in range(4)]
    await stores[0].create(pool())
    await asyncio.gather(
        *(
            store.patch(IPPool, "pods", {"metadata": {"annotations": {f"{at}-{number}": "set"}}})
            for at, store in enumerate(stores)
            for number in range(10)
        )
    )
    assert len((await stores[0].get(IPPool, "pods")).annotations) == 40


async def test_a_delete_compares_the_revision_it_is_given(store: Store) -> None:
    first = await store.create(pool())
    second = await store.update(mark(first, "1"))
    with pytest.raises(Conflict):
        await store.delete(first)
    await store.delete(second)
    with pytest.raises(NotFound):
        await store.get(IPPool, "pods")


async def test_a_delete_without_a_revision_deletes_any_revision(store: Store) -> None:
    await store.create(pool())
    await store.delete(pool())
    assert (await store.list(IPPool)).objects == ()


async def test_an_object_flagged_as_deleted_is_absent_for_readers(store: Store) -> None:
    block = IPAMBlock.make(
        "10-0-0-0-30", cidr="10.0.0.0/30", allocations=[None] * 4, unallocated=[0, 1, 2, 3], attributes=[],
        strict_affinity=False,
    )  # fmt: skip
    for stored in (
        await store.create(block),
        await store.create(handle("h")),
        await store.create(affinity("n1")),
    ):
        flagged = stored.with_spec(deleted="true" if isinstance(stored, BlockAffinity) else True)
        await store.update(flagged)
        with pytest.raises(NotFound):
            await store.get(type(stored), stored.name)
        assert (await store.list(type(stored))).objects == ()
    assert (await store.summarize(HANDLES)).objects == ()


async def test_a_flagged_object_can_be_deleted_and_replaced(store: Store) -> None:
    first = await store.create(handle("h"))
    flagged = await store.update(first.with_spec(deleted=True))
    second = await store.create(handle("h"))
    assert await store.get(IPAMHandle, "h") == second
    with pytest.raises(Conflict):
        await store.delete(flagged)
    await store.delete(await store.update(second.with_spec(deleted=True)))
    await store.create(handle("h"))


async def test_writes_are_carried_out_in_order(store: Store) -> None:
    first = await store.create(pool("a"))
    assert await store.write() == ()
    updated, created, nothing = await store.write(Update(mark(first, "1")), Create(pool("b")), Delete(pool("b")))
    assert isinstance(updated, IPPool) and isinstance(created, IPPool) and nothing is None
    assert (await store.list(IPPool)).objects == (updated,)


async def test_an_atomic_store_writes_all_or_nothing(store: Store) -> None:
    first = await store.create(pool("a"))
    with pytest.raises(AlreadyExists):
        await store.write(Create(pool("b")), Update(mark(first, "1")), Create(pool("a")))
    names = [each.name for each in (await store.list(IPPool)).objects]
    assert names == ["a"] if store.atomic else ["a", "b"]


async def test_a_watch_reports_what_exists_then_in_sync_then_changes(shared: Shared) -> None:
    writer, reader = shared.open(), shared.open()
    a, b = await writer.create(pool("a")), await writer.create(pool("b"))
    async with watching(reader, IPPool) as watch:
        assert await events_until_in_sync(watch) == [Changed(a), Changed(b)]
        c = await writer.create(pool("c"))
        assert await next_event(watch) == Changed(c)
        a2 = await writer.update(mark(a, "1"))
        assert await next_event(watch) == Changed(a2)
        await writer.delete(b)
        assert await next_event(watch) == Gone(IPPool, "b", None, b)


async def test_a_watch_of_several_kinds_reports_the_changes_of_each_in_order(shared: Shared) -> None:
    writer, reader = shared.open(), shared.open()
    async with watching(reader, IPPool, Node, WorkloadEndpoint) as watch:
        assert await events_until_in_sync(watch) == []
        pools, endpoints = [], []
        for n in range(5):
            pools.append(Changed(await writer.create(pool(f"p{n}"))))
            await writer.create(handle(f"h{n}"))
            endpoints.append(Changed(await writer.create(endpoint("red", f"w{n}"))))
        seen: list[WatchEvent] = []
        while not (pools[-1] in seen and endpoints[-1] in seen):
            seen.append(await next_event(watch))
        assert [event for event in seen if event in pools] == pools
        assert [event for event in seen if event in endpoints] == endpoints


async def test_a_watch_of_one_node_reports_nothing_of_others(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    await writer.create(endpoint("blue", "theirs", "n2"))
    ours = await writer.create(endpoint("blue", "ours", "n1"))
    async with watching(store, Interest(WorkloadEndpoint, node="n1"), IPPool) as watch:
        assert await events_until_in_sync(watch) == [Changed(ours)]
        await writer.create(endpoint("red", "theirs", "n2"))
        changed = await writer.create(pool())
        assert await next_event(watch) == Changed(changed)
        await writer.delete(ours)
        while not isinstance(event := await next_event(watch), Gone):
            assert isinstance(event, Changed) and event.resource.name == ours.name
        assert (event.kind, event.name, event.namespace) == (WorkloadEndpoint, ours.name, "blue")


async def test_what_no_longer_meets_the_interest_is_reported_as_gone(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    first = await writer.create(affinity("n1", rack="a"))
    async with watching(store, Interest(BlockAffinity, labels={"rack": "a"})) as watch:
        assert await events_until_in_sync(watch) == [Changed(first)]
        moved = await writer.update(first.with_metadata(labels={"rack": "b"}))
        assert await next_event(watch) == Gone(BlockAffinity, first.name, None, first)
        back = await writer.update(moved.with_metadata(labels={"rack": "a"}))
        assert await next_event(watch) == Changed(back)


async def test_an_interest_by_name_means_that_one_object(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    await writer.create(affinity("n1"))
    meant = Interest(BlockAffinity, name=affinity("n2").name)
    async with watching(store, meant) as watch:
        assert await events_until_in_sync(watch) == []
        await writer.create(affinity("n3"))
        second = await writer.create(affinity("n2"))
        assert await next_event(watch) == Changed(second)
        assert (await store.list(meant)).objects == (second,)
        await writer.delete(second)
        assert isinstance(await next_event(watch), Gone)


async def test_a_watch_reports_what_meets_any_of_its_interests(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    async with watching(
        store, Interest(BlockAffinity, node="n1"), Interest(BlockAffinity, labels={"rack": "a"})
    ) as watch:
        await events_until_in_sync(watch)
        await writer.create(affinity("n3"))
        by_label = await writer.create(affinity("n2", rack="a"))
        by_node = await writer.create(affinity("n1"))
        assert [await next_event(watch), await next_event(watch)] == [Changed(by_label), Changed(by_node)]


async def test_each_of_two_watches_reports_everything(shared: Shared) -> None:
    store = shared.open()
    async with watching(store, IPPool) as one, watching(store, IPPool) as two:
        assert await events_until_in_sync(one) == await events_until_in_sync(two) == []
        stored = await shared.open().create(pool())
        assert await next_event(one) == await next_event(two) == Changed(stored)


async def test_a_slow_watcher_gets_the_newest_state_and_every_deletion(shared: Shared) -> None:
    writer, reader = shared.open(), shared.open()
    a = await writer.create(pool("a"))
    b = await writer.create(pool("b"))
    async with watching(reader, IPPool) as watch:
        await events_until_in_sync(watch)
        for n in range(10):
            a = await writer.update(mark(a, str(n)))
        await writer.delete(b)
        anew = await writer.create(pool("b"))
        c = await writer.create(pool("c"))
        await writer.delete(c)
        last = await writer.create(pool("d"))
        events: list[WatchEvent] = []
        while not events or events[-1] != Changed(last):
            events.append(await next_event(watch))
        newest: dict[str, WatchEvent] = {
            event.resource.name if isinstance(event, Changed) else event.name: event
            for event in events
            if not isinstance(event, InSync)
        }
        assert newest["a"] == Changed(a)
        assert newest["b"] == Changed(anew)
        assert not isinstance(newest.get("c"), Changed)
        assert events.count(Changed(a)) == 1


async def test_a_flagged_object_is_reported_as_gone(shared: Shared) -> None:
    writer, reader = shared.open(), shared.open()
    stored = await writer.create(affinity("n1"))
    async with watching(reader, BlockAffinity) as watch:
        await events_until_in_sync(watch)
        flagged = await writer.update(stored.with_spec(deleted="true"))
        assert await next_event(watch) == Gone(BlockAffinity, stored.name, None, stored)
        await writer.delete(flagged)
        anew = await writer.create(affinity("n1"))
        assert await next_event(watch) == Changed(anew)


async def test_a_watch_ends_when_its_store_is_closed(shared: Shared) -> None:
    store = shared.open()
    watch = store.watch(IPPool)
    await events_until_in_sync(watch)
    waiting = asyncio.ensure_future(anext(watch, None))
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.wait_for(waiting, 30) is None
    with pytest.raises(Unavailable, match="closed"):
        await store.list(IPPool)


@pytest.mark.parametrize("seed", range(5))
async def test_the_events_of_a_watch_add_up_to_what_a_list_returns(shared: Shared, seed: int) -> None:
    """Two writers work from copies of any age, and a watcher listens now and then."""
    chance = random.Random(seed)
    writers, reader = [shared.open(), shared.open()], shared.open()
    names = [f"h{number}" for number in range(4)]
    copies: dict[str, IPAMHandle] = {}
    present: dict[str, IPAMHandle] = {}

    async def write_something(number: int) -> None:
        writer, name = chance.choice(writers), chance.choice(names)
        copy = copies.get(name)
        try:
            match chance.choice(("create", "update", "flag", "delete", "read")):
                case "create":
                    copies[name] = await writer.create(handle(name))
                case "update" if copy is not None:
                    await writer.update(copy.with_spec(block={"10.0.0.0/26": number}))
                case "flag" if copy is not None:
                    await writer.update(copy.with_spec(deleted=True))
                case "delete" if copy is not None:
                    await writer.delete(copy)
                case "read":
                    copies[name] = await writer.get(IPAMHandle, name)
        except (AlreadyExists, Conflict, NotFound):
            return

    def fold(event: WatchEvent) -> None:
        match event:
            case Changed(IPAMHandle() as resource):
                assert present.get(resource.name) != resource
                present[resource.name] = resource
            case Gone(_, name, _, last):
                assert present.pop(name) == last

    async with watching(reader, IPAMHandle) as watch:
        assert await events_until_in_sync(watch) == []
        for number in range(200):
            await write_something(number)
            if chance.random() < 0.1:
                marker = await writers[0].create(handle(f"marker-{number}"))
                while (event := await next_event(watch)) != Changed(marker):
                    fold(event)
                present[marker.name] = marker
                assert tuple(present[name] for name in sorted(present)) == (await reader.list(IPAMHandle)).objects


async def make_unreadable(store: Store, name: str) -> None:
    """Have there be a pool whose record cannot be read, as another version may have written it."""
    if isinstance(store, MemoryStore):
        store.spoil(await store.create(pool(name)))
    else:
        with suppress(BadRecord):  # what comes back cannot be read either
            await store.create(pool(name).with_spec(cidr="169.254.0.0/16"))


async def test_what_cannot_be_read_is_named_by_a_list_and_hides_no_other(
    shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    store = shared.open()
    await make_unreadable(store, "bad")
    good = await store.create(pool("good"))
    found = await store.list(IPPool)
    assert found.objects == (good,)
    assert [(one.kind, one.name, one.namespace) for one in found.unreadable] == [(IPPool, "bad", None)]
    if not isinstance(store, MemoryStore):  # for whoever takes the objects alone, as felixctl get does
        assert 'IPPool "bad": ' in caplog.text and "it is ignored until it is written again" in caplog.text
    with pytest.raises(BadRecord):
        found.complete()
    with pytest.raises(BadRecord):
        await store.get(IPPool, "bad")
    with pytest.raises(AlreadyExists):
        await store.create(pool("bad"))
    await store.delete(pool("bad"))
    assert await store.list(IPPool) == Listed((good,))


async def test_a_summary_of_all_is_a_list_of_what_is_kept(shared: Shared) -> None:
    store = shared.open()
    for name in ("h2", "h1"):
        await store.create(handle(name))
    pods = [(await store.create(endpoint("red", f"pod-{number}"))) for number in range(3)]
    await store.delete(pods[1])
    handles, endpoints = await store.list(IPAMHandle), await store.list(WorkloadEndpoint)
    assert await store.summarize(HANDLES) == Listed(tuple(map(HANDLES.of, handles.objects)))
    assert await store.summarize(ENDPOINTS) == Listed(tuple(map(ENDPOINTS.of, endpoints.objects)))
    assert len(handles.objects) == len(endpoints.objects) == 2
    assert await scanned(store, HANDLES) == (await store.summarize(HANDLES)).objects
    assert await scanned(store, ENDPOINTS) == (await store.summarize(ENDPOINTS)).objects


async def scanned(store: Store, summary: Summary[Any, Any]) -> tuple[Any, ...]:
    """Return what a scan shows, in the order of a summary of all."""
    seen: list[Any] = []
    assert await store.scan(summary, seen.append) == ()
    return tuple(sorted(seen, key=lambda one: (one.namespace or "", one.name)))


class PoolName(NamedTuple):
    name: str
    namespace: None = None


async def test_what_no_summary_is_read_of_is_left_to_the_kinds_reader(shared: Shared) -> None:
    store = shared.open()
    await make_unreadable(store, "bad")
    await store.create(pool("good"))
    names = Summary("IPPool", lambda: IPPool, lambda text: None, lambda one: PoolName(one.name))
    found = await store.summarize(names)
    assert found.objects == (PoolName("good"),)
    assert [(one.kind, one.name) for one in found.unreadable] == [(IPPool, "bad")]
    seen: list[PoolName] = []
    assert await store.scan(names, seen.append) == found.unreadable
    assert seen == [PoolName("good")]


async def test_unknown_fields_survive_an_update_and_a_patch(store: Store) -> None:
    tomorrow = {"ofTomorrow": {"deep": [1, None, {"a": 1.5}]}}
    record = pool().to_json()
    stored = await store.create(IPPool.read(record | {"spec": record["spec"] | tomorrow}))
    updated = await store.update(stored.with_spec(disabled=True))
    patched = await store.patch(IPPool, "pods", {"spec": {"natOutgoing": True}})
    for one in (stored, updated, patched, await store.get(IPPool, "pods")):
        assert one.to_json()["spec"]["ofTomorrow"] == tomorrow["ofTomorrow"]
    assert patched.spec.disabled and patched.spec.nat_outgoing


async def test_the_longest_names_are_told_apart(store: Store) -> None:
    names = [f"{'a' * 252}{last}" for last in "xy"]
    for name in names:
        await store.create(handle(name))
    assert [one.name for one in (await store.list(IPAMHandle)).objects] == names
    await store.delete(await store.get(IPAMHandle, names[0]))
    assert (await store.get(IPAMHandle, names[1])).name == names[1]
    with pytest.raises(NotFound):
        await store.get(IPAMHandle, names[0])


async def test_a_delete_of_what_was_created_again_is_a_conflict(store: Store) -> None:
    for first in (await store.create(pool()), await store.create(handle("h"))):
        await store.delete(first)
        again = await store.create(first)
        with pytest.raises(Conflict):
            await store.delete(first)
        assert await store.get(type(first), first.name) == again


async def test_writes_end_at_the_first_that_is_refused(store: Store) -> None:
    first = await store.create(pool("a"))
    await store.update(mark(first, "other"))
    with pytest.raises(Conflict):
        await store.write(Create(pool("b")), Update(mark(first, "1")), Create(pool("c")))
    names = [each.name for each in (await store.list(IPPool)).objects]
    assert names == ["a"] if store.atomic else ["a", "b"]


async def test_what_moves_from_one_interest_to_another_has_changed_and_is_not_gone(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    first = await writer.create(affinity("n1", rack="a"))
    racks = (Interest(BlockAffinity, labels={"rack": "a"}), Interest(BlockAffinity, labels={"rack": "b"}))
    async with watching(store, *racks) as watch:
        assert await events_until_in_sync(watch) == [Changed(first)]
        moved = await writer.update(first.with_metadata(labels={"rack": "b"}))
        assert await next_event(watch) == Changed(moved)
        gone = await writer.update(moved.with_metadata(labels={"rack": "c"}))
        assert await next_event(watch) == Gone(BlockAffinity, first.name, None, moved)
        await writer.delete(gone)
        anew = await writer.create(affinity("n1", rack="a"))
        assert await next_event(watch) == Changed(anew)


async def test_an_interest_of_several_labels_is_met_by_all_of_them(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    one = await writer.create(affinity("n1", rack="a", row="1"))
    two = await writer.create(affinity("n2", rack="a"))
    async with watching(store, Interest(BlockAffinity, labels={"rack": "a", "row": "1"})) as watch:
        assert await events_until_in_sync(watch) == [Changed(one)]
        met = await writer.update(two.with_metadata(labels={"rack": "a", "row": "1"}))
        assert await next_event(watch) == Changed(met)


async def test_a_watch_begun_over_a_flagged_object_reports_what_takes_its_place(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    first = await writer.create(handle("h"))
    await writer.update(first.with_spec(deleted=True))
    async with watching(store, IPAMHandle) as watch:
        assert await events_until_in_sync(watch) == []
        anew = await writer.create(handle("h"))
        assert await next_event(watch) == Changed(anew)


async def test_a_patch_of_one_client_is_seen_by_the_watch_of_another(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    first = await writer.create(pool())
    async with watching(store, IPPool) as watch:
        assert await events_until_in_sync(watch) == [Changed(first)]
        patched = await writer.patch(IPPool, "pods", {"metadata": {"annotations": {"mark": "1"}}})
        assert await next_event(watch) == Changed(patched)


async def test_what_cannot_be_read_is_named_by_a_watch_and_what_takes_its_place_is_reported(shared: Shared) -> None:
    store, writer = shared.open(), shared.open()
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        await make_unreadable(writer, "p")
        named = await next_event(watch)
        assert isinstance(named, Unreadable) and (named.kind, named.name) == (IPPool, "p")
        await writer.delete(pool("p"))
        again = await writer.create(pool("p"))
        while (event := await next_event(watch)) != Changed(again):
            assert isinstance(event, Gone) and event.name == "p"
