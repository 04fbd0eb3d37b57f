"""The group of Calico's resources: asked once, and again where a whole kind is not found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import datastore
from datastore.errors import NotFound
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.pools import IPPool
from datastore.kube.access import read_access
from datastore.kube.answers import NotServed
from datastore.kube.client import ApiClient
from datastore.kube.paths import collection, item
from datastore.kube.store import KubeStore
from datastore.record import CRD, V3, Resource
from datastore.store import Changed, Gone, InSync, WatchEvent
from datastore.summaries import HANDLES
from tests.kube.bed import Bed
from tests.kube.control_plane import kubeconfig
from tests.kube.h2_server import Request, serving

PATIENCE_SECONDS = 30.0


class Cluster:
    """An API server that has Calico's resources in one group, and one object of each kind, named after the group."""

    def __init__(self) -> None:
        self.served: str | None = CRD
        self.asked: list[str] = []
        self._watches: list[Request] = []

    async def serve(self, version: str | None) -> None:
        """Have the definitions in this group from now on; the watches of the other end."""
        self.served = version
        ended, self._watches = self._watches, []
        for request in ended:
            request.finish()

    async def handle(self, request: Request) -> None:
        self.asked.append(f"{request.method} {request.path.partition('?')[0]}")
        if request.path == "/apis":
            groups = [{"name": version.partition("/")[0]} for version in (self.served,) if version]
            await request.answer(200, json.dumps({"groups": groups}).encode())
        elif self.served is None or not request.path.startswith(f"/apis/{self.served}/"):
            await request.answer(404, b"404 page not found\n")
        elif "watch=1" in request.path:
            self._watches.append(request)
            request.begin(200)
            if "&resourceVersion=" not in request.path:  # else what there is was there before
                await request.send(_event("ADDED", self._object(request.path)) + _event("BOOKMARK", _LAST))
        elif request.path.partition("?")[0] == collection(IPPool, self.served) and request.method == "GET":
            await request.answer(200, json.dumps({"metadata": {}, "items": [self._object(request.path)]}).encode())
        else:
            await request.answer(200, json.dumps(self._object(request.path)).encode())

    def _object(self, path: str) -> dict[str, object]:
        assert self.served
        kind = BGPConfiguration if f"/{BGPConfiguration.PLURAL}" in path else IPPool
        metadata = {"name": self.served.partition(".")[0], "uid": "u", "resourceVersion": "7"}
        return {"apiVersion": self.served, "kind": kind.KIND, "metadata": metadata, "spec": {"cidr": "10.0.0.0/16"}}


_LAST = {"metadata": {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}}


def _event(said: str, about: object) -> bytes:
    return json.dumps({"type": said, "object": about}).encode() + b"\n"


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def store(cluster: Cluster, tmp_path: Path) -> AsyncIterator[KubeStore]:
    path = tmp_path / "config"
    async with serving(cluster.handle) as server:
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        store = KubeStore(lambda: read_access(str(path)))
        yield store
        await store.close()


POOL = IPPool.make("crd", cidr="10.0.0.0/16")
STORED = POOL.with_metadata(uid="u", resource_version="7")

VERBS: dict[str, Callable[[KubeStore], Awaitable[object]]] = {
    "get": lambda store: store.get(IPPool, "crd"),
    "list": lambda store: store.list(IPPool),
    "create": lambda store: store.create(POOL),
    "update": lambda store: store.update(STORED),
    "update the status": lambda store: store.update_status(STORED),
    "patch": lambda store: store.patch(IPPool, "crd", {"spec": {"disabled": True}}),
    "delete": lambda store: store.delete(STORED),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_follows_the_resources_into_another_group(cluster: Cluster, store: KubeStore, verb: str) -> None:
    await store.list(IPPool)
    await cluster.serve(V3)
    cluster.asked.clear()
    await VERBS[verb](store)
    refused, again, *done = cluster.asked
    assert refused.partition(" ")[2].startswith(f"/apis/{CRD}/ippools") and again == "GET /apis"
    assert done and all(f" /apis/{V3}/ippools" in each for each in done)


async def test_handles_are_summarized_in_the_group_that_they_moved_to(cluster: Cluster, store: KubeStore) -> None:
    await store.list(IPPool)
    await cluster.serve(V3)
    await store.summarize(HANDLES)
    assert cluster.asked[-1] == f"GET /apis/{V3}/ipamhandles"


async def test_definitions_that_are_installed_later_are_found_where_they_are(
    cluster: Cluster, store: KubeStore
) -> None:
    await cluster.serve(None)
    assert (await store.list(IPPool)).objects == ()
    with pytest.raises(NotFound):
        await store.create(POOL)
    await cluster.serve(V3)
    await store.create(POOL)
    assert cluster.asked[-1] == f"POST /apis/{V3}/ippools"


async def test_definitions_that_are_away_for_a_while_have_not_moved(
    cluster: Cluster, store: KubeStore, caplog: pytest.LogCaptureFixture
) -> None:
    for served in (V3, None, V3):
        await cluster.serve(served)
        await store.list(IPPool)
        assert cluster.asked[-1] == (f"GET /apis/{V3}/ippools" if served else "GET /apis")
    assert "are served in" not in caplog.text


async def test_a_watch_follows_the_resources_into_another_group_and_reads_all_anew(
    cluster: Cluster, store: KubeStore, caplog: pytest.LogCaptureFixture
) -> None:
    events: AsyncIterator[WatchEvent] = store.watch(IPPool, BGPConfiguration)
    seen = {event.resource.name async for event in _until_in_sync(events)}
    assert seen == {"crd"}
    await cluster.serve(V3)
    came, gone = set[tuple[type[Resource], str]](), set[tuple[type[Resource], str]]()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (len(came), len(gone)) != (2, 2):
            match await anext(events):
                case Changed(resource=resource):
                    came.add((type(resource), resource.name))
                case Gone() as event:
                    gone.add((event.kind, event.name))
    assert came == {(IPPool, "projectcalico"), (BGPConfiguration, "projectcalico")}
    assert gone == {(IPPool, "crd"), (BGPConfiguration, "crd")}
    said = [record.getMessage() for record in caplog.records if "are served in" in record.getMessage()]
    assert said == [f"Calico's resources are served in {V3} now, not in {CRD}: all are read anew"]


async def _until_in_sync(events: AsyncIterator[WatchEvent]) -> AsyncIterator[Changed]:
    async for event in events:
        if isinstance(event, InSync):
            return
        assert isinstance(event, Changed)
        yield event


async def test_of_two_groups_that_are_served_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    """As while Calico's resources are moved from one to the other."""
    seen: list[str] = []

    async def handle(request: Request) -> None:
        seen.append(request.path.partition("?")[0])
        groups = {"groups": [{"name": version.partition("/")[0]} for version in (CRD, V3)]}
        await request.answer(200, json.dumps(groups if request.path == "/apis" else {"metadata": {}}).encode())

    path = tmp_path / "config"
    async with serving(handle) as server:
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        for named in ("", f"?group={V3}", f"?group={CRD}"):
            store = datastore.open(f"kubernetes://{path}{named}")
            await store.list(IPPool)
            await store.close()
    assert seen == ["/apis", *(f"/apis/{group}/ippools" for group in (CRD, V3, CRD))]


async def test_a_group_that_is_named_is_kept_where_the_other_alone_is_served(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "config"
    async with serving(cluster.handle) as server:
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        store = KubeStore(lambda: read_access(str(path)), group=V3)
        for _ in range(2):
            with pytest.raises(NotFound):
                await store.create(POOL)
        await cluster.serve(V3)
        await store.create(POOL)
        await store.close()
    assert cluster.asked == 3 * [f"POST /apis/{V3}/ippools"]


async def test_an_api_server_tells_a_kind_that_it_lacks_from_an_object_that_it_lacks(bed: Bed) -> None:
    client = ApiClient(bed.access)
    for path in (collection(IPPool, V3), item(IPPool, V3, "none")):
        with pytest.raises(NotServed):
            await client.request("look", "GET", path)
    with pytest.raises(NotFound) as missing:
        await client.request("look", "GET", item(IPPool, CRD, "none"))
    assert not isinstance(missing.value, NotServed)
    await client.close()
