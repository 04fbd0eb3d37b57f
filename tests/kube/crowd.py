"""A large cluster in the API of a lab, without machines: `python -m tests.kube.crowd KUBECONFIG VERB …`.

`fill NODES PODS` makes Nodes and a Deployment, whose pods Kubernetes' own scheduler and kwok bring to run
(tests/kube/fake_nodes.py), and claims a block for each node as its agent does. `pods COUNT` attaches more pods to the
first node as its agent would.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from datastore.errors import AlreadyExists, Unavailable
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.access import Access, read_access
from datastore.kube.client import ApiClient
from datastore.kube.paths import collection
from datastore.kube.store import KubeStore
from datastore.record import CRD, Resource
from ipam.allocator import AddressesWanted, Allocator
from ipam.block import assign, new_block
from ipam.names import affinity_labels, affinity_name
from tests.kube.fake_nodes import FAKE

T = TypeVar("T")

POOL = IPv4Network("10.65.0.0/16")
AT_ONCE, LOOK_SECONDS = 40, 0.5
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CLAIMED_NS = 1767315600 * 10**9


def host(number: int) -> str:
    return f"crowd-{number:04}"


def block_of(number: int) -> IPv4Network:
    """Return a node's block, from the pool's end: a real node begins elsewhere."""
    return IPv4Network((int(POOL.broadcast_address) - 63 - 64 * number, 26))


def node(number: int) -> dict[str, Any]:
    address = f"198.18.{number // 250}.{1 + number % 250}/15"
    annotations = {"projectcalico.org/IPv4Address": address, **FAKE}
    labels = {"kubernetes.io/hostname": host(number), "kubernetes.io/os": "linux"}
    metadata = {"name": host(number), "annotations": annotations, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


CONTAINERS = {"automountServiceAccountToken": False, "containers": [{"name": "c", "image": "none"}]}


def pod(name: str, on: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": on, **CONTAINERS}}


def deployment(pods: int) -> dict[str, Any]:
    labels = {"app": "crowd"}
    template = {"metadata": {"labels": labels}, "spec": CONTAINERS}
    spec = {"replicas": pods, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "crowd"}, "spec": spec}


def affinity(number: int) -> BlockAffinity:
    cidr, name = str(block_of(number)), host(number)
    return BlockAffinity.make(
        affinity_name(name, cidr),
        labels=affinity_labels(name, 4),
        cidr=cidr,
        node=name,
        state="confirmed",
        type="host",
        deleted="false",
    )


def block(number: int, pods: Iterable[str]) -> IPAMBlock:
    """Return a node's block, whose first addresses these pods have."""
    made = new_block(block_of(number), host(number), CLAIMED_NS)
    for name in pods:
        made, _ = assign(made, 1, f"net.{name}", {"node": host(number), "pod": name})
    return made


class Crowd:
    """Writes to one API server, as much at once as a busy cluster does."""

    def __init__(self, kubeconfig: Path) -> None:
        def access() -> Access:
            return read_access(str(kubeconfig))

        self._client, self._store = ApiClient(access), KubeStore(access)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def fill(self, nodes: int, pods: int) -> None:
        """Write the objects, and have nodes learn from reflectors, as nobody has so many sessions on each."""
        await self._store.patch(BGPConfiguration, "default", {"spec": {"nodeToNodeMeshEnabled": False}})
        names = [[f"crowd-{each}" for each in range(number, pods, nodes)] for number in range(nodes)]
        await asyncio.gather(*(self._post(Node, node(number)) for number in range(nodes)))
        await asyncio.gather(*(self._create(affinity(number)) for number in range(nodes)))
        await asyncio.gather(*(self._create(block(number, names[number])) for number in range(nodes)))
        body = json.dumps(deployment(pods)).encode()
        await self._insist(lambda: self._client.request("create the Deployment", "POST", DEPLOYMENTS, body))
        while (running := await self._running()) < pods:
            print(f"{running} of {pods} pods run", flush=True)
            await asyncio.sleep(LOOK_SECONDS)

    async def _running(self) -> int:
        try:
            answer = await self._client.request("get the Deployment", "GET", f"{DEPLOYMENTS}/crowd")
        except Unavailable:
            return 0
        return int(json.loads(answer.body)["status"].get("readyReplicas", 0))

    async def add_pods(self, count: int) -> None:
        """Attach pods to the first node."""
        allocator = Allocator(self._store)
        await asyncio.gather(*(self._attach(f"more-{number}", allocator) for number in range(count)))

    async def _attach(self, name: str, allocator: Allocator) -> None:
        on = host(0)
        await self._post(WorkloadEndpoint, pod(name, on))
        wanted = AddressesWanted(on, f"net.{name}", {"node": on, "pod": name})
        [address] = (await self._until_answered(lambda: allocator.assign(wanted))).ipv4
        endpoint = WorkloadEndpoint.make(
            f"{on}-k8s-{name}-eth0",
            namespace="default",
            node=on,
            orchestrator="k8s",
            pod=name,
            endpoint="eth0",
            containerID=name,
            interfaceName=f"cali-{name}",
            ipNetworks=[f"{address}/32"],
        )
        await self._create(endpoint)

    async def close(self) -> None:
        await self._client.close()
        await self._store.close()

    async def _create(self, resource: Resource) -> None:
        await self._insist(lambda: self._store.create(resource))

    async def _post(self, kind: type[Node | WorkloadEndpoint], record: dict[str, Any]) -> None:
        path, body = collection(kind, CRD, "default"), json.dumps(record).encode()
        await self._insist(lambda: self._client.request(f"create {kind.KIND}", "POST", path, body))

    async def _insist(self, create: Callable[[], Awaitable[object]]) -> None:
        """Create an object; one whose answer was lost may be there already."""
        with suppress(AlreadyExists):
            await self._until_answered(create)

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return an answer, asking again while the API server is too busy to give one."""
        async with self._room:
            while True:
                try:
                    return await ask()
                except Unavailable:
                    await asyncio.sleep(LOOK_SECONDS)


async def main(kubeconfig: Path, verb: str, *counts: str) -> None:
    crowd = Crowd(kubeconfig)
    if verb == "fill":
        await crowd.fill(*map(int, counts))
    else:
        await crowd.add_pods(*map(int, counts))
    await crowd.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
