"""A cluster whose blocks are full: fifty nodes with four blocks each, and a pod for each of the 12,800 addresses.

Its records are those that agents write, and on the Kubernetes API its pods and nodes are such as kubelets report.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

import datastore
from datastore.errors import AlreadyExists
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kube.client import MERGE_PATCH, ApiClient
from datastore.kube.paths import CORE, collection, item
from datastore.kube.pods import attached_patch
from datastore.kube.store import KubeStore
from datastore.names import NETWORK, interface_name, workload_endpoint_name
from datastore.record import Resource
from datastore.store import Create
from ipam.block import assign, new_block
from ipam.names import affinity_labels, affinity_name, attribute_time, handle_name, pod_handle
from tests.kube.bed import Bed

NODES, BLOCKS_EACH, NAMESPACES = 50, 4, 20
ADDRESSES = NODES * BLOCKS_EACH * 64
POOL = IPv4Network("10.64.0.0/12")
MADE_NS = 1_790_000_000 * 10**9
AT_ONCE = 50
CNI_NETWORK = "k8s-pod-network"

T = TypeVar("T")


def records(nodes: int = NODES) -> Iterator[list[Resource]]:
    """Yield all records: first those of the cluster, then node by node."""
    yield [
        IPPool.make("default-ipv4-ippool", cidr=str(POOL), block_size=26, ipip_mode="Never", vxlan_mode="Never"),
        ClusterInformation.make("default", cluster_guid="f" * 32, datastore_ready=True, calico_version="v3.32.1"),
    ]
    blocks: Iterator[IPv4Network] = POOL.subnets(new_prefix=26)
    for number in range(nodes):
        node = f"node-{number:03}"
        found: list[Resource] = [Node.make(node, bgp={"ipv4Address": f"192.0.2.{number + 1}/24"})]
        for _ in range(BLOCKS_EACH):
            found += _full_block(new_block(next(blocks), node, MADE_NS), node)
        yield found


def _full_block(block: IPAMBlock, node: str) -> Iterator[Resource]:
    cidr = str(block.network)
    labels = affinity_labels(node, 4)
    name = affinity_name(node, cidr)
    yield BlockAffinity.make(name, labels=labels, state="confirmed", node=node, cidr=cidr, deleted="false", type="host")
    for address in block.network:
        number = int(address) - int(POOL.network_address)
        pod, namespace = f"web-{number // 5:05}-{number % 5:05}", f"team-{number % NAMESPACES}"
        container = hashlib.sha256(pod.encode()).hexdigest()
        handle = pod_handle(CNI_NETWORK, container)
        attributes = {"namespace": namespace, "node": node, "pod": pod, "timestamp": attribute_time(MADE_NS)}
        block, _ = assign(block, 1, handle, attributes)
        yield IPAMHandle.make(handle_name(handle), handle_id=handle, block={cidr: 1}, deleted=False)
        yield WorkloadEndpoint.make(
            workload_endpoint_name(node, pod),
            namespace,
            labels={"app": "web", "pod-template-hash": "5d8f9c7b6d"},
            annotations={NETWORK: CNI_NETWORK},
            orchestrator="k8s",
            node=node,
            pod=pod,
            endpoint="eth0",
            container_id=container,
            ip_networks=[f"{address}/32"],
            profiles=[f"kns.{namespace}", f"ksa.{namespace}.default"],
            interface_name=interface_name(namespace, pod),
        )
    yield block


async def write_file(path: Path, nodes: int = NODES) -> None:
    """Make it the content of an SQLite datastore."""
    store = datastore.open(f"sqlite://{path}")
    try:
        for portion in records(nodes):
            await store.write(*map(Create, portion))
    finally:
        await store.close()


async def write_api(bed: Bed, nodes: int = NODES) -> None:
    """Make it the content of an API server, which takes a minute or two."""
    client, store = ApiClient(bed.access), KubeStore(bed.access)
    try:
        namespaces = [{"kind": "Namespace", "metadata": {"name": f"team-{n}"}} for n in range(NAMESPACES)]
        await _all(namespaces, lambda one: _post(client, f"/api/{CORE}/namespaces", one))
        for portion in records(nodes):
            await _all(portion, lambda one: _write(client, store, one))
    finally:
        await client.close()
        await store.close()


async def _all(things: Iterable[T], act: Callable[[T], Awaitable[object]]) -> None:
    left = iter(things)

    async def work() -> None:
        for one in left:
            await act(one)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def _write(client: ApiClient, store: KubeStore, resource: Resource) -> None:
    match resource:
        case Node(name=name):
            annotations = {"projectcalico.org/IPv4Address": str(resource.ipv4)}
            await _post(client, collection(Node, CORE), {"metadata": {"name": name, "annotations": annotations}})
        case WorkloadEndpoint(spec=spec, namespace=namespace):
            await _post(client, collection(WorkloadEndpoint, CORE, namespace), _pod(resource))
            path = f"{item(WorkloadEndpoint, CORE, spec.pod or '', namespace)}/status"
            patch = attached_patch(resource) | {"status": _status(resource)}
            await client.request(f"patch {path}", "PATCH", path, json.dumps(patch).encode(), MERGE_PATCH)
        case _:
            await store.create(resource)


async def _post(client: ApiClient, path: str, record: dict[str, Any]) -> None:
    with suppress(AlreadyExists):
        await client.request(f"create {path}", "POST", path, json.dumps(record).encode())


def _pod(endpoint: WorkloadEndpoint) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": "registry.example/team/web:1.27.3",
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [{"name": "LISTEN", "value": ":8080"}, {"name": "LOG_LEVEL", "value": "info"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    }
    spec = {"nodeName": endpoint.spec.node, "automountServiceAccountToken": False, "containers": [container]}
    return {"metadata": {"name": endpoint.spec.pod, "labels": dict(endpoint.labels)}, "spec": spec}


def _status(endpoint: WorkloadEndpoint) -> dict[str, Any]:
    [address] = endpoint.addresses
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    since = "2026-09-21T14:13:20Z"
    return {
        "phase": "Running",
        "podIP": str(address),
        "podIPs": [{"ip": str(address)}],
        "hostIP": "192.0.2.1",
        "startTime": since,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": since} for kind in conditions],
        "containerStatuses": [
            {
                "name": "web",
                "image": "registry.example/team/web:1.27.3",
                "imageID": f"registry.example/team/web@sha256:{'ab' * 32}",
                "containerID": f"containerd://{endpoint.spec.container_id}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": since}},
            }
        ],
    }
