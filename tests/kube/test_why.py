"""felixctl says of a pod on a real API server which pools its Namespace's labels and annotations lead to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kube.client import ApiClient
from datastore.kube.paths import CORE
from tests.felixctl.command import Felixctl
from tests.kube.bed import Bed

POOLS = [
    IPPool.make("prod", cidr="10.1.0.0/24", allowedUses=["Workload"], namespaceSelector='env == "prod"'),
    IPPool.make("test", cidr="10.2.0.0/24", allowedUses=["Workload"], namespaceSelector='env == "test"'),
]


async def furnish(bed: Bed, namespace: str, **metadata: Any) -> None:
    """Make a pod without an address, in a Namespace of this metadata."""
    await bed.empty()
    store = bed.open()
    for one in (*POOLS, ClusterInformation.make("default", datastore_ready=True), Node.make("n1")):
        await store.create(one)
    await store.close()
    client = ApiClient(bed.access)
    record = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, **metadata}}
    await client.request("create", "POST", f"/api/{CORE}/namespaces", json.dumps(record).encode())
    await client.close()
    spec = {
        "nodeName": "n1",
        "automountServiceAccountToken": False,
        "containers": [{"name": "c", "image": "none"}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}
    await bed.put(WorkloadEndpoint, json.dumps(pod).encode(), namespace)


@pytest.mark.parametrize(
    ("namespace", "metadata", "status", "sentence"),
    [
        ("of-prod", {"labels": {"env": "prod"}}, 0, "✓ of-prod/web: it gets its IPv4 address from prod"),
        (
            "of-none",
            {"labels": {"env": "dev"}},
            1,
            "✗ of-none/web: it gets no IPv4 address: no pool for IPv4 on node n1",
        ),
        (
            "annotated",
            {"annotations": {"cni.projectcalico.org/ipv4pools": '["test"]'}},
            0,
            "✓ annotated/web: it gets its IPv4 address from test",
        ),
    ],
)
def test_a_pod_without_an_address_is_told_which_pools_are_for_it(
    started_bed: Bed,
    namespace: str,
    metadata: dict[str, Any],
    status: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asyncio.run(furnish(started_bed, namespace, **metadata))
    ended = Felixctl(f"kubernetes://{started_bed.control_plane.kubeconfig}", monkeypatch, capsys)("why", "web")
    assert (ended.status, ended.err) == (status, "")
    assert sentence in ended.out
    assert "it is on n1 and has no address" in ended.out
    asyncio.run(started_bed.empty())
