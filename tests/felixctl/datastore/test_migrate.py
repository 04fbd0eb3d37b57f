"""What an export and an import do with a datastore, at any point where they may end, and beside other writers."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from datastore.errors import Conflict, NotFound, Unavailable
from datastore.kinds.cluster import IMPORT_MARK, ClusterInformation
from datastore.kinds.ipam import IPAMHandle
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Listed, Write
from datastore.watch import Key
from felixctl.datastore.migrate import export_text, import_into, import_plan
from felixctl.datastore.migration_file import read_migration
from felixctl.errors import CommandError, RejectedError
from tests.datastore.memory_store import MemoryStore
from tests.felixctl.datastore.clusters import bare_nodes, one_of_each
from tests.felixctl.ipam.cluster import DB, DB_HANDLE, ENDPOINTS

RESOURCES = one_of_each()
EXPORTED = asyncio.run(export_text(MemoryStore(*RESOURCES)))
MIGRATION = read_migration(EXPORTED, "f")


class Kubernetes(MemoryStore):
    """It writes one by one; Nodes, pods and Namespaces are there.

    dies_at: at which write it goes away. heard: whether that one is carried out.
    """

    def __init__(self, *more: Resource, dies_at: int | None = None, heard: bool = False) -> None:
        there = [*bare_nodes(RESOURCES), *ENDPOINTS, Namespace.make("default")]
        super().__init__(*there, *more, atomic=False)
        self._dies_at, self._heard, self._away = dies_at, heard, False
        self.writes = 0

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        if self._away:
            raise Unavailable("write: it is away")
        self._away = self.writes == self._dies_at
        if self._away and not self._heard:
            raise Unavailable("write: no answer")
        stored = await super().write(*writes)
        self.writes += 1
        if self._away:
            raise Unavailable("write: no answer")
        return stored

    def come_back(self) -> None:
        self._dies_at, self._away = None, False


def contents(store: MemoryStore) -> dict[Key, dict[str, Any]]:
    """Return all that is stored, without revisions."""
    return {key: one.with_metadata(resource_version=None).to_json() for key, one in store.objects.items()}


async def cluster_of(store: MemoryStore) -> ClusterInformation:
    return await store.get(ClusterInformation, "default")


async def test_an_export_needs_a_locked_datastore() -> None:
    with pytest.raises(CommandError, match='it has no ClusterInformation "default"'):
        await export_text(MemoryStore())
    cluster = ClusterInformation.make("default", cluster_guid="0", datastore_ready=True)
    with pytest.raises(CommandError, match="it is not locked"):
        await export_text(MemoryStore(cluster))
    begun = cluster.with_spec(datastore_ready=False).with_metadata(annotations={IMPORT_MARK: "incomplete"})
    with pytest.raises(CommandError, match="an import into it is not complete"):
        await export_text(MemoryStore(begun))


class _EndsWhileRead(MemoryStore):
    """A pod ends, and its address is released, between the reading of handles and that of endpoints."""

    releases = 1

    async def list(self, what: Any) -> Listed[Any]:
        if what is WorkloadEndpoint and self.releases:
            self.releases -= 1
            handle = await self.get(IPAMHandle, DB_HANDLE)
            await self.update(handle.with_spec(block={"10.65.77.0/26": self.releases + 2}))
        return await super().list(what)


async def test_an_export_is_of_one_moment() -> None:
    store = _EndsWhileRead(*RESOURCES)
    found = read_migration(await export_text(store), "f").ipam.handles
    assert [one.spec.block for one in found if one.name == DB_HANDLE] == [{"10.65.77.0/26": 2}]
    store.releases = 100
    with pytest.raises(CommandError, match="addresses were released during each of 5 readings"):
        await export_text(store)


@pytest.mark.parametrize("atomic", [True, False])
async def test_what_is_imported_is_exported_as_it_was(atomic: bool) -> None:
    store = MemoryStore(atomic=atomic)
    await import_into(store, MIGRATION, on_kubernetes=False)
    assert not (await cluster_of(store)).spec.datastore_ready
    again = await export_text(store)
    first, second = read_migration(EXPORTED, "f"), read_migration(again, "f")
    nodes = [one for one in first.resources if one.key.model is Node]
    assert len(nodes) == 3, "what is a kubelet's of a Node is left to it, and compared on Kubernetes"
    written = [(one.key, one.written) for one in first.resources if one not in nodes]
    assert [(one.key, one.written) for one in second.resources if one.key.model is not Node] == written
    assert (second.cluster, second.ipam) == (first.cluster, first.ipam)


async def test_on_kubernetes_nodes_are_patched_and_pods_are_the_endpoints() -> None:
    store = Kubernetes()
    done = await import_into(store, MIGRATION, on_kubernetes=True)
    node = await store.get(Node, "node-2")
    assert (str(node.ipv4), str(node.tunnel_address("ipip"))) == ("192.0.2.2/24", "10.65.247.0")
    assert not any(isinstance(one, WorkloadEndpoint) for one in done.written)
    assert await export_text(store)


async def test_what_kubernetes_has_none_of_is_named_and_left_out() -> None:
    store = Kubernetes()
    await store.delete((await store.get(Node, "node-3")).with_metadata(resource_version=None))
    await store.delete((await store.get(WorkloadEndpoint, DB, "default")).with_metadata(resource_version=None))
    done = await import_into(store, MIGRATION, on_kubernetes=True)
    assert 'Node "node-3": Kubernetes has no node of this name; it is left out' in done.told
    [lost] = [sentence for sentence in done.told if DB in sentence]
    assert "its addresses (10.65.77.7) stay assigned until they are collected" in lost
    assert await store.get(IPAMHandle, DB_HANDLE)


async def test_a_namespace_that_is_missing_is_named_before_anything_is_written() -> None:
    store = Kubernetes()
    await store.delete((await store.get(Namespace, "default")).with_metadata(resource_version=None))
    with pytest.raises(RejectedError, match="there is no Namespace default: create it first"):
        await import_into(store, MIGRATION, on_kubernetes=True)
    assert store.writes == 1, "that of this test"


@pytest.mark.parametrize("heard", [False, True], ids=["request lost", "answer lost"])
async def test_an_import_that_ends_at_any_write_is_completed_by_the_same_file(heard: bool) -> None:
    whole = Kubernetes()
    await import_into(whole, MIGRATION, on_kubernetes=True)
    expected = contents(whole)
    for at in itertools.count():
        store = Kubernetes(dies_at=at, heard=heard)
        try:
            await import_into(store, MIGRATION, on_kubernetes=True)
        except (Unavailable, CommandError):
            pass
        else:
            break
        store.come_back()
        if at or heard:
            cluster = await cluster_of(store)
            assert not cluster.spec.datastore_ready, "no address is given while records are missing"
            assert cluster.is_incomplete or at == whole.writes - 1
        await import_into(store, MIGRATION, on_kubernetes=True)
        assert contents(store) == expected
    assert at == whole.writes


async def test_a_file_that_is_there_already_is_written_no_second_time() -> None:
    for on_kubernetes, store in ((False, MemoryStore()), (True, Kubernetes())):
        await import_into(store, MIGRATION, on_kubernetes=on_kubernetes)
        assert (await import_into(store, MIGRATION, on_kubernetes=on_kubernetes)).written == []


async def test_a_datastore_that_has_resources_is_refused() -> None:
    pool = IPPool.make("mine", cidr="10.9.0.0/16")
    for store in (MemoryStore(pool), Kubernetes(pool)):
        with pytest.raises(RejectedError, match=r'has resources already \(IPPool "mine"\)'):
            await import_into(store, MIGRATION, on_kubernetes=isinstance(store, Kubernetes))
    full = MemoryStore(*RESOURCES, pool)
    await full.delete((await full.get(IPPool, "default-ipv4-ippool")).with_metadata(resource_version=None))
    with pytest.raises(RejectedError, match=r"has resources already .* more "):
        await import_into(full, MIGRATION, on_kubernetes=False)


async def half_imported() -> Kubernetes:
    store = Kubernetes(dies_at=20)
    with pytest.raises(CommandError, match=r"of .* were written before, and the datastore stays locked"):
        await import_into(store, MIGRATION, on_kubernetes=True)
    store.come_back()
    return store


async def test_an_import_is_not_continued_after_an_unlock() -> None:
    store = await half_imported()
    await store.update((await cluster_of(store)).with_spec(datastore_ready=True))
    with pytest.raises(RejectedError, match="it was unlocked since"):
        await import_into(store, MIGRATION, on_kubernetes=True)


async def test_an_import_is_not_continued_over_what_others_wrote() -> None:
    store = await half_imported()
    pool = await store.get(IPPool, "default-ipv4-ippool")
    await store.update(pool.with_spec(nat_outgoing=False))
    await store.create(IPPool.make("an-agents", cidr="192.168.0.0/16"))
    with pytest.raises(RejectedError) as refused:
        await import_into(store, MIGRATION, on_kubernetes=True)
    assert 'have become other than in the file: IPPool "default-ipv4-ippool"' in str(refused.value)
    assert 'that the file does not have: IPPool "an-agents"' in str(refused.value)


async def test_an_import_is_not_continued_with_another_clusters_file() -> None:
    store = await half_imported()
    other = read_migration(EXPORTED.replace("0011223344", "9911223344"), "f")
    with pytest.raises(RejectedError, match="it is of another cluster"):
        await import_into(store, other, on_kubernetes=True)


async def test_two_imports_of_one_file_at_once_are_one() -> None:
    class Twice(Kubernetes):
        """Another import writes what this one is about to write."""

        async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
            if self.writes in (0, 7):
                await super().write(*writes)
            return await super().write(*writes)

    store, alone = Twice(), Kubernetes()
    for one in (store, alone):
        await import_into(one, MIGRATION, on_kubernetes=True)
    assert await export_text(store) == await export_text(alone)


async def test_a_writer_who_is_always_quicker_is_an_error_and_no_endless_loop() -> None:
    class Racing(Kubernetes):
        async def update(self, resource: Any) -> Any:
            raise Conflict("update: it was changed")

    with pytest.raises(Conflict):
        await import_into(Racing(), MIGRATION, on_kubernetes=True)


async def test_what_a_definition_does_not_keep_is_named() -> None:
    class Pruning(Kubernetes):
        async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
            [write] = writes
            record = write.resource.to_json()
            if record["kind"] == "GlobalNetworkPolicy":
                record["spec"] = {}
                write = type(write)(type(write.resource).read(record))
            return await super().write(write)

    lost = 'GlobalNetworkPolicy "one": the datastore does not keep spec.a field of tomorrow, which its definition there'
    store = Pruning()
    done = await import_into(store, MIGRATION, on_kubernetes=True)
    assert [sentence for sentence in done.told if sentence.startswith(lost)]
    assert (await import_into(store, MIGRATION, on_kubernetes=True)).written == [], "nor is it wanted again"


async def test_definitions_that_are_missing_are_named_with_their_cure() -> None:
    class Bare(Kubernetes):
        async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
            raise NotFound("create: 404 page not found")

    with pytest.raises(CommandError, match=r"404 page not found; .* kubectl apply -k manifests/crds"):
        await import_into(Bare(), MIGRATION, on_kubernetes=True)


async def test_a_plan_writes_nothing() -> None:
    store = Kubernetes()
    plan = await import_plan(store, MIGRATION, on_kubernetes=True)
    assert (store.writes, plan.begin is not None, plan.ends) == (0, True, True)
