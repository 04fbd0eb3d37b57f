"""A node's start on a real API server, with the rights of its role: what is read, what is written, and how often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.kube.access import read_access
from datastore.kube.client import MERGE_PATCH, ApiClient
from datastore.kube.store import KubeStore
from datastore.record import CRD
from felix_py.configuration.settings import Settings, settings_from
from felix_py.startup.startup import start
from tests.felix_py.fakes import FakeKernel
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import faulty_proxy
from tests.kube.roles import install_roles

NOTE = "/api/v1/namespaces/kube-system/configmaps"


@pytest.fixture(scope="module")
def with_roles(started_bed: Bed) -> Bed:
    asyncio.run(install_roles(started_bed))
    return started_bed


@pytest.fixture
async def client(with_roles: Bed, bed: Bed) -> AsyncIterator[ApiClient]:
    """An administrator of an empty cluster with the node n1, which kubeadm did not make yet."""
    store = bed.open()
    await store.create(Node.make("n1"))
    await store.close()
    client = ApiClient(bed.access)
    yield client
    await client.request("forget kubeadm", "DELETE", NOTE)
    await client.close()


async def put_note(client: ApiClient, pod_subnet: str) -> None:
    text = f"kind: ClusterConfiguration\nnetworking:\n  podSubnet: {pod_subnet}\n"
    note = {"metadata": {"name": "kubeadm-config"}, "data": {"ClusterConfiguration": text}}
    await client.request("be kubeadm", "POST", NOTE, json.dumps(note).encode())


@asynccontextmanager
async def without_right_to_the_note(client: ApiClient) -> AsyncIterator[None]:
    """Take the role that allows agents to read what kubeadm noted away for a while."""
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/felix-py-node"
    before = json.loads((await client.request("read the role", "GET", path)).body)["rules"]

    async def write(rules: list[dict[str, object]]) -> None:
        await client.request("write the role", "PATCH", path, json.dumps({"rules": rules}).encode(), MERGE_PATCH)

    await write([])
    try:
        yield
    finally:
        await write(before)


def of_node(bed: Bed) -> KubeStore:
    """Return a store with the rights of an agent, and no more."""
    return KubeStore(lambda: read_access(str(bed.control_plane.kubeconfig_of("felix-py-node"))))


def settings(folder: Path, **variables: str) -> Settings:
    files = {"CALICO_NODENAME_FILE": str(folder / "nodename"), "FELIX_STATE_DIR": str(folder)}
    return settings_from(
        {"NODENAME": "n1", "IP": "autodetect", "FELIX_DATASTORE": "kubernetes://", **files, **variables}
    )


async def test_the_first_pools_are_kubeadms_pod_subnets(client: ApiClient, bed: Bed, tmp_path: Path) -> None:
    await put_note(client, "10.244.0.0/16,fd00:10:244::/56")
    store = of_node(bed)
    await start(settings(tmp_path, IP6="2001:db8::1/64"), store, FakeKernel())
    pools = {pool.name: pool.spec for pool in (await store.list(IPPool)).objects}
    assert {name: spec.cidr for name, spec in pools.items()} == {
        "default-ipv4-ippool": "10.244.0.0/16",
        "default-ipv6-ippool": "fd00:10:244::/56",
    }
    assert pools["default-ipv4-ippool"].nat_outgoing and not pools["default-ipv6-ippool"].nat_outgoing
    assert (await store.get(ClusterInformation, "default")).spec.cluster_type == "k8s,bgp,kubeadm,kdd"
    await store.close()


async def test_a_cluster_that_kubeadm_did_not_make_gets_the_usual_pool(
    client: ApiClient, bed: Bed, tmp_path: Path
) -> None:
    store = of_node(bed)
    await start(settings(tmp_path, CLUSTER_TYPE="k8s,edge"), store, FakeKernel())
    assert [pool.spec.cidr for pool in (await store.list(IPPool)).objects] == ["192.168.0.0/16"]
    assert (await store.get(ClusterInformation, "default")).spec.cluster_type == "k8s,edge,kdd"
    await store.close()


async def test_who_may_not_read_kubeadms_note_is_told_and_starts(
    client: ApiClient, bed: Bed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put_note(client, "10.244.0.0/16")
    store = of_node(bed)
    async with without_right_to_the_note(client):
        await start(settings(tmp_path), store, FakeKernel())
    assert [pool.spec.cidr for pool in (await store.list(IPPool)).objects] == ["192.168.0.0/16"]
    assert "kubeadm-config" in caplog.text and "the role of this account lacks it (403)" in caplog.text
    await store.close()


async def test_a_second_start_reads_what_is_there_and_writes_nothing(
    client: ApiClient, bed: Bed, tmp_path: Path
) -> None:
    account = read_access(str(bed.control_plane.kubeconfig_of("felix-py-node")))
    async with faulty_proxy(account, tmp_path) as proxy:
        for number in (1, 2):
            proxy.requests.clear()
            store = KubeStore(proxy.access)
            await start(settings(tmp_path), store, FakeKernel())
            await store.close()
            writes = [request for request in proxy.requests if not request.startswith("GET ")]
            assert len(writes) == (6 if number == 1 else 0), writes
    root = f"GET /apis/{CRD}"
    assert proxy.requests == [
        "GET /apis",
        "GET /api/v1/nodes/n1",
        *(f"{root}/ippools?limit=500", f"{root}/clusterinformations/default", f"{root}/felixconfigurations/default"),
        *(f"{root}/bgpconfigurations/default", f"{root}/ipamconfigs/default"),
    ]
