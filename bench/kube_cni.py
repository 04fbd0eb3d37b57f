"""What an ADD and a DEL cost on the Kubernetes API: the shim before a real agent, beside Debian's ptp with host-local.

As in `bench.cni`, and on a real API server: each pod is a Pod object of it that exists before its ADD and is deleted
after its DEL, both unmeasured. The agent has the rights of a node and no more.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.cni import PEER_NAME, VERBS, Plugin, PodNetns, agent, alone, files, peer, pods, rates, rows
from bench.result import Row, rate
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.client import ApiClient
from datastore.kube.paths import CORE, collection, item
from tests.kube.bed import Bed
from tests.kube.roles import install_roles

NODE, ACCOUNT = "bench", "felix-py-node"
ALONE = 20
BATCHES = {10: 3, 50: 1}
"""How many are started together, and how often in a round."""
CALICO_PEER_MS, CALICO_PER_SECOND = 7.0, 12.5
"""Of Calico's plugin on another machine: ADDs/s at ten at once, where an ADD of ptp + host-local alone took so long."""
CALICO = (
    f"Calico's plugin, on another machine where {PEER_NAME}'s ADD takes {CALICO_PEER_MS:g} ms: 117 ms an ADD,"
    f" {CALICO_PER_SECOND:g} ADDs/s; its rates are scaled here by how much longer {PEER_NAME}'s ADD took"
)


async def furnish(bed: Bed) -> None:
    """Make the node and the rights of its agent."""
    await install_roles(bed)
    store = bed.open()
    try:
        await store.create(Node.make(NODE))
    finally:
        await store.close()


class Pods:
    """The Pod objects of one run."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    @contextmanager
    def scheduled(self, count: int) -> Iterator[list[PodNetns]]:
        """Pods that are scheduled on the node, each with a network namespace; gone afterwards."""
        with pods(count) as ready:
            uids = asyncio.run(self._create(ready))
            try:
                yield [PodNetns(pod.container, pod.netns, uid) for pod, uid in zip(ready, uids, strict=True)]
            finally:
                asyncio.run(self._delete(ready))

    async def _create(self, wanted: Iterable[PodNetns]) -> list[str]:
        spec = {
            "nodeName": NODE,
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "none"}],
        }
        records = [{"metadata": {"name": pod.name}, "spec": spec} for pod in wanted]
        path, client = collection(WorkloadEndpoint, CORE, "default"), ApiClient(self._bed.access)
        try:
            made = [await client.request("create", "POST", path, json.dumps(record).encode()) for record in records]
        finally:
            await client.close()
        return [json.loads(answer.body)["metadata"]["uid"] for answer in made]

    async def _delete(self, made: Iterable[PodNetns]) -> None:
        client = ApiClient(self._bed.access)
        try:
            for pod in made:
                path = item(WorkloadEndpoint, CORE, pod.name, "default")
                await client.request("delete", "DELETE", path, b'{"gracePeriodSeconds": 0}')
        finally:
            await client.close()


def one_round(plugin: Plugin, made: Pods) -> dict[str, float]:
    """Return what was measured, by its name."""
    found: dict[str, float] = {}
    with files(plugin) as ready_made, made.scheduled(ALONE) as ready:
        for verb in VERBS:
            found[f"CNI {verb} alone"] = median(alone(plugin, verb, ready, *ready_made))
    for together, times in BATCHES.items():
        found |= rates(plugin, made.scheduled, together, times)
    return found


def measure(bed: Bed, rounds: int) -> tuple[list[Row], list[str]]:
    """Run both by turns; who goes first changes with every round. A round before the first only warms up."""
    asyncio.run(furnish(bed))
    url = f"kubernetes://{bed.control_plane.kubeconfig_of(ACCOUNT)}"
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="felix-bench-") as name, agent(Path(name), url) as ours:
        plugins, made = [ours, peer(Path(name))], Pods(bed)
        for number in range(rounds + 1):
            for plugin in plugins if number % 2 else reversed(plugins):
                measured = one_round(plugin, made)
                if number:
                    found[plugin.name].append(measured)
    mine, theirs = found[ours.name], found[PEER_NAME]
    return [*rows(mine, theirs), *beside_calicos(mine, theirs)], [CALICO]


def beside_calicos(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> Iterator[Row]:
    """Yield our rates beside those of Calico's plugin, scaled by how long the peer's ADD alone took in each round."""
    calicos = [CALICO_PER_SECOND * CALICO_PEER_MS / one["CNI ADD alone"] for one in theirs]
    for together in BATCHES:
        name = f"CNI ADDs/s, {together} at once"
        yield rate(f"{name}, beside Calico's", [one[name] for one in ours], calicos, "Calico, scaled", "/s")
