"""Endpoints on real pods."""

from __future__ import annotations

import json

import pytest

from datastore.errors import Conflict, Invalid, NotFound
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.client import MERGE_PATCH
from datastore.kube.pods import POD_IP
from datastore.kube.store import KubeStore
from datastore.names import POD_IPS, interface_name, workload_endpoint_name
from tests.kube.bed import Bed


def endpoint(pod: str = "web-0") -> WorkloadEndpoint:
    return WorkloadEndpoint.make(
        workload_endpoint_name("n1", pod), "red", node="n1", pod=pod, container_id="c1", ip_networks=["10.0.0.1/32"]
    )


async def test_an_endpoint_is_written_on_its_pod_and_gives_its_addresses_back(bed: Bed) -> None:
    store = bed.open()
    stored = await store.create(endpoint())
    assert (stored.spec.ip_networks, stored.spec.container_id) == (("10.0.0.1/32",), "c1")
    assert stored.spec.interface_name == interface_name("red", "web-0")
    await KubeStore.delete(store, stored)
    left = await store.get(WorkloadEndpoint, stored.name, "red")
    assert (left.spec.container_id, left.annotations["cni.projectcalico.org/podIP"]) == ("c1", "")
    with pytest.raises(Conflict):
        await KubeStore.delete(store, stored)
    await store.close()


async def test_an_endpoint_of_a_pod_that_was_made_anew_is_not_found(bed: Bed) -> None:
    store = bed.open()
    stored = await store.create(endpoint())
    await store.delete(stored)
    await store.create(endpoint())
    with pytest.raises(NotFound, match="created again"):
        await store.update(stored)
    await store.close()


async def test_an_endpoint_with_a_hashed_name_is_found_among_its_namespaces_pods(bed: Bed) -> None:
    store = bed.open()
    pod = "-".join("a" * 120)
    stored = await store.create(endpoint(pod[:239]))
    await store.create(endpoint("odd"))
    odd = json.dumps({"metadata": {"annotations": dict.fromkeys((POD_IP, POD_IPS), "nowhere")}}).encode()
    await store._client.request("spoil", "PATCH", "/api/v1/namespaces/red/pods/odd/status", odd, MERGE_PATCH)
    assert await store.get(WorkloadEndpoint, stored.name, "red") == stored
    await store.close()


async def test_an_endpoint_without_a_pod_cannot_be_written(bed: Bed) -> None:
    store = KubeStore(bed.access)
    with pytest.raises(Invalid, match="it names no pod"):
        await store.create(WorkloadEndpoint.make("w", "red", node="n1"))
    await store.close()
