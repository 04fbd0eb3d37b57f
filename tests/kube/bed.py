"""An empty cluster for one test: Calico's custom resources on a real API server, and pods and nodes as if by others.

Starting an API server takes seconds, so a run has one; each test finds it empty.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import yaml

from datastore.errors import AlreadyExists, DatastoreError
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.access import Access, read_access
from datastore.kube.client import ApiClient
from datastore.kube.paths import CORE, collection, is_custom, item
from datastore.kube.store import KubeStore
from datastore.record import CRD, Resource
from datastore.resources import KINDS
from tests.kube.control_plane import ControlPlane, running

R = TypeVar("R", bound=Resource)

DEFINITIONS = Path(__file__).parents[2] / "manifests" / "crds" / "crds.yaml"


_AT_ONCE = b'{"gracePeriodSeconds": 0}'


class Bed:
    """One API server with Calico's custom resource definitions."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.control_plane = control_plane

    def access(self) -> Access:
        return read_access(str(self.control_plane.kubeconfig))

    def open(self) -> KubeStore:
        """Return a client to whose nodes and pods the rest of a cluster reacts: they exist when they are written."""
        return self.open_by(self.access)

    def open_by(self, access: Callable[[], Access]) -> KubeStore:
        """Return such a client that reaches the API server by this access."""
        return _WithKubelet(access)

    async def install_definitions(self) -> None:
        client = ApiClient(self.access)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        try:
            for definition in yaml.safe_load_all(DEFINITIONS.read_text()):
                name = definition["metadata"]["name"]
                await client.request(f"install {name}", "POST", path, json.dumps(definition).encode())
            # The API server asks to wait a second for each that it does not serve yet.
            served = (_until_served(client, collection(kind, CRD)) for kind in KINDS.values() if is_custom(kind))
            await asyncio.gather(*served)
        finally:
            await client.close()

    async def make_namespace(self, name: str) -> None:
        client = ApiClient(self.access)
        record = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).encode()
        try:
            with suppress(AlreadyExists):
                await client.request(f"create {name}", "POST", f"/api/{CORE}/namespaces", record)
        finally:
            await client.close()

    async def put(self, kind: type[Resource], record: bytes, namespace: str | None = None) -> None:
        """Create an object as it is written, whatever this version's reader says of it."""
        client = ApiClient(self.access)
        try:
            await client.request(f"create {kind.KIND}", "POST", collection(kind, CRD, namespace), record)
        finally:
            await client.close()

    async def empty(self, kinds: Iterable[type[Resource]] = KINDS.values()) -> None:
        """Delete every custom resource, pod and node, or those of some kinds.

        Only where etcd has any: most tests write two or three of some thirty kinds.
        """
        keys = self.control_plane.stored()
        client = ApiClient(self.access)
        try:
            for kind in kinds:
                if not any(key.startswith(_folder(kind)) for key in keys):
                    continue
                path = collection(kind, CRD)
                if not kind.NAMESPACED:
                    await client.request(f"delete {path}", "DELETE", path, _AT_ONCE)
                    continue
                answer = await client.request(f"list {path}", "GET", path)
                for found in json.loads(answer.body)["items"]:
                    where = item(kind, CRD, found["metadata"]["name"], found["metadata"]["namespace"])
                    await client.request(f"delete {where}", "DELETE", where, _AT_ONCE)
        finally:
            await client.close()


class _WithKubelet(KubeStore):
    """A store in whose cluster a node or a pod exists as soon as somebody writes about it."""

    async def create(self, resource: R) -> R:
        if isinstance(resource, Node):
            record = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": resource.name}}
            await self._post(collection(Node, CORE), record)
            stored = await self.get(Node, resource.name)
            changed = stored.with_metadata(annotations=dict(resource.metadata.annotations))
            return cast(R, await self.update(changed))
        if isinstance(resource, WorkloadEndpoint):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": resource.namespace}}
            await self._post(f"/api/{CORE}/namespaces", namespace)
            await self._post(collection(WorkloadEndpoint, CORE, resource.namespace), _pod(resource))
        return await super().create(resource)

    async def delete(self, resource: Resource) -> None:
        await super().delete(resource)
        if isinstance(resource, WorkloadEndpoint) and resource.spec.pod:
            path = item(WorkloadEndpoint, CORE, resource.spec.pod, resource.namespace)
            await self._client.request(f"delete {path}", "DELETE", path, _AT_ONCE)

    async def _post(self, path: str, record: dict[str, Any]) -> None:
        with suppress(AlreadyExists):
            await self._client.request(f"create {path}", "POST", path, json.dumps(record).encode())


def _folder(kind: type[Resource]) -> str:
    """Return how the names of the objects of a kind begin in etcd."""
    if is_custom(kind):
        return f"/registry/{CRD.partition('/')[0]}/{kind.PLURAL}/"
    return {Node: "/registry/minions/", WorkloadEndpoint: "/registry/pods/"}[kind]


def _pod(endpoint: WorkloadEndpoint) -> dict[str, Any]:
    spec = {
        "nodeName": endpoint.spec.node,
        "automountServiceAccountToken": False,
        "containers": [{"name": "c", "image": "none"}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": endpoint.spec.pod}, "spec": spec}


async def _until_served(client: ApiClient, path: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.request("list", "GET", path)
            except DatastoreError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.fixture(scope="session")
def started_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running(tmp_path_factory.mktemp("kube")) as control_plane:
        bed = Bed(control_plane)
        asyncio.run(bed.install_definitions())
        yield bed


@pytest.fixture
async def bed(started_bed: Bed) -> AsyncIterator[Bed]:
    await started_bed.empty()
    yield started_bed
