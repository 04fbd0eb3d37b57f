"""What is the Kubernetes store's own, beside what every store does (tests/datastore/test_store.py)."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from datastore.errors import AlreadyExists, Conflict, Invalid, NotFound, Unavailable
from datastore.fields import micro_time_text
from datastore.kinds.event import Event
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.lease import Lease
from datastore.kinds.namespace import Namespace
from datastore.kinds.network_policy import KubernetesNetworkPolicy
from datastore.kinds.node import Node, NodeCondition
from datastore.kinds.pools import IPPool
from datastore.kube import watch_stream
from datastore.kube.access import read_access
from datastore.kube.client import METADATA_ALONE, STRATEGIC_MERGE_PATCH, ApiClient
from datastore.kube.store import KubeStore
from datastore.record import CRD, Resource
from datastore.store import Changed, InSync, Interest
from datastore.summaries import ENDPOINTS
from tests.kube.bed import Bed
from tests.kube.control_plane import kubeconfig
from tests.kube.faulty_proxy import faulty_proxy
from tests.kube.h2_server import Request, serving

HANDLE = IPAMHandle.make("h", handle_id="h", block={})


AFFINITY = BlockAffinity.make("n1-a", node="n1", type="host", cidr="10.0.0.0/26", state="confirmed", deleted="false")


@pytest.mark.parametrize(("record", "steps"), [(AFFINITY, ["PUT", "DELETE"]), (HANDLE, ["DELETE"])])
async def test_a_block_and_its_affinity_are_flagged_before_they_are_deleted_and_a_handle_is_deleted_at_once(
    bed: Bed, tmp_path: Path, record: BlockAffinity | IPAMHandle, steps: list[str]
) -> None:
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        stored = await store.create(record)
        proxy.requests.clear()
        await store.delete(stored)
        path = f"/apis/{CRD}/{type(record).PLURAL}/{record.name}"
        assert proxy.requests == [f"{step} {path}" for step in steps]
        await store.close()


BLOCK = IPAMBlock.make(
    "10-0-0-0-30",
    cidr="10.0.0.0/30",
    affinity="host:n1",
    strict_affinity=False,
    sequence_number=1,
    sequence_number_for_allocation={"0": 0},
    allocations=[0, None, None, None],
    unallocated=[1, 2, 3],
    attributes=[{"handle_id": "h"}],
)


async def test_a_block_that_is_written_is_known_as_it_is_stored_though_only_its_metadata_is_sent_back(bed: Bed) -> None:
    store, client = bed.open(), ApiClient(bed.access)
    created = await store.create(BLOCK)
    assert created == await store.get(IPAMBlock, BLOCK.name)
    written = await store.update(created.with_spec(sequence_number=2, attributes=()))
    assert written == await store.get(IPAMBlock, BLOCK.name) != created
    path = f"/apis/{CRD}/ipamblocks/{BLOCK.name}"
    whole = (await client.request("look", "GET", path)).body
    answer = await client.request("write", "PUT", path, whole, accept=METADATA_ALONE)
    assert json.loads(answer.body).keys() == {"kind", "apiVersion", "metadata"}
    await client.close()
    await store.close()


async def test_a_handle_that_was_written_since_it_was_read_is_not_deleted(bed: Bed) -> None:
    store = bed.open()
    stored = await store.create(HANDLE)
    await store.update(stored.with_spec(block={"10.0.0.0/26": 1}))
    with pytest.raises(Conflict):
        await store.delete(stored)
    assert (await store.get(IPAMHandle, "h")).spec.block == {"10.0.0.0/26": 1}
    await store.close()


async def test_a_deletion_that_was_begun_is_finished_by_who_creates_anew(bed: Bed) -> None:
    store = bed.open()
    stored = await store.create(HANDLE)
    await store.update(stored.with_spec(deleted=True))
    again = await store.create(HANDLE)
    assert again.metadata.uid != stored.metadata.uid and not again.deleted
    await store.close()


async def test_a_write_whose_answer_is_lost_is_done_once(bed: Bed, tmp_path: Path) -> None:
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        stored = await store.create(HANDLE)
        proxy.faults.lose_answers = 1
        with pytest.raises(Unavailable):
            await store.update(stored.with_spec(block={"10.0.0.0/26": 1}))
        now = await store.get(IPAMHandle, "h")
        assert now.spec.block == {"10.0.0.0/26": 1}
        with pytest.raises(Conflict):
            await store.update(stored.with_spec(block={"10.0.0.0/26": 2}))
        await store.close()


async def test_of_a_node_annotations_of_calicos_and_ours_are_written_and_nothing_else(bed: Bed) -> None:
    store = bed.open()
    stored = await store.create(Node.make("n1"))
    changed = stored.with_data(IPv4Address="192.0.2.1/24")
    written = await store.update(changed)
    assert str(written.ipv4) == "192.0.2.1/24"
    marked = await store.patch(Node, "n1", {"metadata": {"annotations": {"felix-py/host": "h"}}})
    assert marked.annotations["felix-py/host"] == "h"
    with pytest.raises(Invalid, match=r"metadata\.labels mine of a Node is Kubernetes' to change"):
        await store.update(marked.with_metadata(labels={"mine": "all"}))
    with pytest.raises(Conflict):
        await store.update(changed.with_data(IPv4Address="192.0.2.9/24"))
    await store.close()


async def test_of_a_nodes_conditions_one_is_written_and_the_others_stay(bed: Bed) -> None:
    store, client = bed.open(), ApiClient(bed.access)
    await store.create(Node.make("n1"))
    by_kubelet = b'{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}'
    await client.request("be a kubelet", "PATCH", "/api/v1/nodes/n1/status", by_kubelet, STRATEGIC_MERGE_PATCH)
    for condition in (
        NodeCondition("True", "NoRoute", "none"),
        NodeCondition("False", "CalicoIsUp", "pods are routed"),
    ):
        read = await store.get(Node, "n1")
        written = await store.update(read.with_network_unavailable(condition, "2026-01-02T15:04:05Z"))
        assert written.network_unavailable == condition
        conditions = written.to_json()["status"]["conditions"]
        assert sorted(one["type"] for one in conditions) == ["NetworkUnavailable", "Ready"]
    with pytest.raises(Conflict):
        await store.update(read.with_network_unavailable(condition, "2026-01-03T15:04:05Z"))
    await client.close()
    await store.close()


async def test_a_node_is_neither_created_nor_deleted_here(bed: Bed) -> None:
    store = KubeStore(bed.access)
    with pytest.raises(Unavailable, match="kubelet"):
        await store.create(Node.make("n9"))
    with pytest.raises(Invalid, match="kubectl delete node"):
        await store.delete(Node.make("n9"))
    await store.close()


async def test_affinities_are_listed_by_their_labels_at_the_server(bed: Bed, tmp_path: Path) -> None:
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        await store.list(Interest(BlockAffinity, labels={"projectcalico.org/affinity-type": "host"}))
        assert "labelSelector=projectcalico.org%2Faffinity-type%3Dhost" in proxy.requests[-1]
        await store.close()


async def test_a_definition_that_the_server_refuses_is_invalid_with_its_reason(bed: Bed) -> None:
    store = KubeStore(bed.access)
    stored = await store.create(IPPool.make("a", cidr="10.0.0.0/16", block_size=26))
    with pytest.raises(Invalid, match="blockSize cannot be changed"):
        await store.update(stored.with_spec(block_size=28))
    await store.close()


async def test_a_lease_is_written_as_kubernetes_own_and_nothing_of_it_is_folded_away(bed: Bed) -> None:
    store, client = bed.open(), ApiClient(bed.access)
    now = micro_time_text(time.time_ns())
    made = Lease.make("a-lease", "default", labels={"a": "b"}, holder="me", duration_seconds=15, renew_time=now)
    stored = await store.create(made)
    with pytest.raises(AlreadyExists):
        await store.create(made)
    taken = await store.update(stored.with_spec(holder="other").with_metadata(annotations={"c": "d"}))
    with pytest.raises(Conflict):
        await store.update(stored)
    answer = await client.request("look", "GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/a-lease")
    kept = json.loads(answer.body)
    assert (kept["metadata"]["labels"], kept["metadata"]["annotations"]) == ({"a": "b"}, {"c": "d"})
    assert kept["metadata"]["uid"] == taken.metadata.uid
    assert kept["spec"] == {"holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": now}
    await store.delete(taken)
    with pytest.raises(NotFound):
        await store.get(Lease, "a-lease", "default")
    await client.close()
    await store.close()


async def test_a_namespace_is_read_and_reported_and_never_written(bed: Bed) -> None:
    await bed.make_namespace("purple")
    store = bed.open()
    found = await store.get(Namespace, "purple")
    assert found.labels == {"kubernetes.io/metadata.name": "purple"}
    assert found in (await store.list(Namespace)).objects
    reported = set[str]()
    async for event in store.watch(Namespace):
        if isinstance(event, InSync):
            break
        assert isinstance(event, Changed)
        reported.add(event.resource.name)
    assert {"default", "purple"} <= reported
    changed = found.with_metadata(labels={"colour": "red"})
    patch = {"metadata": {"labels": {"colour": "red"}}}
    for write in (
        store.create(Namespace.make("other")),
        store.update(changed),
        store.patch(Namespace, "purple", patch),
        store.delete(found),
    ):
        with pytest.raises(Invalid, match="a Namespace is Kubernetes' to change: use kubectl; nothing was written"):
            await write
    assert await store.get(Namespace, "purple") == found
    await store.close()


async def test_a_cluster_that_serves_the_new_group_alone_is_written_in_it(tmp_path: Path) -> None:
    seen: list[str] = []

    async def handle(request: Request) -> None:
        seen.append(request.path)
        groups = {"groups": [{"name": "projectcalico.org"}]}
        await request.answer(200, json.dumps(groups if request.path == "/apis" else {"metadata": {}}).encode())

    path = tmp_path / "config"
    async with serving(handle) as server:
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        store = KubeStore(lambda: read_access(str(path)))
        await asyncio.gather(store.list(IPPool), store.list(IPPool))  # both want to know the group
        await store.close()
    assert seen == ["/apis", *2 * ["/apis/projectcalico.org/v3/ippools?limit=500"]]


async def test_kubernetes_own_objects_are_listed_without_asking_for_the_groups(tmp_path: Path) -> None:
    seen = []

    async def handle(request: Request) -> None:
        seen.append(request.path.partition("?")[0])
        await request.answer(200, b'{"metadata": {}, "items": []}')

    path = tmp_path / "config"
    async with serving(handle) as server:
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        store = KubeStore(lambda: read_access(str(path)))
        await asyncio.gather(store.list(Node), store.summarize(ENDPOINTS), store.list(KubernetesNetworkPolicy))
        await store.close()
    assert {*seen} == {"/api/v1/nodes", "/api/v1/pods", "/apis/networking.k8s.io/v1/networkpolicies"}


async def test_a_deletion_that_was_begun_is_finished_by_who_reads(bed: Bed, tmp_path: Path) -> None:
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        stored = await store.create(HANDLE)
        await store.update(stored.with_spec(deleted=True))
        with pytest.raises(NotFound, match="flagged as deleted"):
            await store.get(IPAMHandle, "h")
        assert proxy.requests[-1].startswith("DELETE")
        with pytest.raises(NotFound, match="not found"):
            await store.get(IPAMHandle, "h")
        await store.close()


async def test_what_a_stream_did_not_foresee_ends_the_watch_and_is_raised(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    store = bed.open()
    await store.create(HANDLE)
    monkeypatch.setattr(watch_stream, "entry", fail)
    with pytest.raises(ZeroDivisionError):
        async for _ in store.watch(IPAMHandle):
            pass
    await store.close()


async def test_a_deletion_that_was_begun_is_finished_by_who_lists(bed: Bed, tmp_path: Path) -> None:
    """Nobody may ever ask for its name again: a handle is named after a container."""
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        stored = await store.create(HANDLE)
        proxy.faults.pass_answers, proxy.faults.lose_answers = 1, 1
        flagged = await store.update(stored.with_spec(deleted=True))
        with pytest.raises(Unavailable):
            await store.create(HANDLE.with_metadata(name="other"))
        proxy.requests.clear()
        assert [found.name for found in (await store.list(IPAMHandle)).objects] == ["other"]
        assert proxy.requests[-1] == f"DELETE /apis/{CRD}/ipamhandles/{flagged.name}"
        await store.close()


@pytest.mark.parametrize("again", [False, True])
async def test_a_deletion_that_another_finished_is_done(bed: Bed, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    store, other = bed.open(), bed.open()
    stored = await store.create(AFFINITY)
    remove = store._remove

    async def slowly(what: str, flagged: Resource) -> None:
        if again:
            await other.create(AFFINITY)
        else:
            await other.list(BlockAffinity)
        await remove(what, flagged)

    monkeypatch.setattr(store, "_remove", slowly)
    await store.delete(stored)
    assert len((await other.list(BlockAffinity)).objects) == again
    await store.close()
    await other.close()


async def test_an_event_is_written_and_changed_without_a_look_at_what_is_there(bed: Bed, tmp_path: Path) -> None:
    node = await bed.open().create(Node.make("n1"))
    event = Event.about(node, "n1.a", "Warning", "BGPSessionDown", "192.0.2.2 is not up", 1, "2026-01-02T15:04:05Z")
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = KubeStore(proxy.access)
        await store.create(event)
        with pytest.raises(AlreadyExists):
            await store.create(event)
        proxy.requests.clear()
        changed = await store.patch(Event, "n1.a", {"count": 2}, "default")
        assert changed.to_json()["count"] == 2
        assert proxy.requests == ["PATCH /api/v1/namespaces/default/events/n1.a"]
        await store.close()
