"""What an ADD and a DEL cost on the Kubernetes API: the shim before a real agent, beside Debian's ptp with host-local.

As in `bench.cni`, and on a real API server: each pod is a Pod object of it that exists before its ADD and is deleted
after its DEL, both unmeasured. The agent has the rights of a node and no more. Requests are counted by the API server.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.api_server import requests
from bench.cni import PEER_NAME, Plugin, PodNetns, agent, alone, at_once, peer, pods
from bench.result import Row, duration, rate
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
VERBS = ("ADD", "DEL")
CALICO_ADD_MS, CALICO_PEER_MS, CALICO_PER_SECOND = 117.0, 7.0, 12.5
"""Calico's plugin, and beside it ptp + host-local, on another machine: an ADD alone, and ADDs/s at ten at once."""


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


def one_round(plugin: Plugin, made: Pods, bed: Bed) -> tuple[dict[str, float], dict[str, Counter[str]]]:
    """Return what was measured, by its name, and the requests of each verb alone."""
    found: dict[str, float] = {}
    asked: dict[str, Counter[str]] = {}
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out:
        given.write(json.dumps(plugin.network).encode())
        given.flush()
        files = given.fileno(), out.fileno()
        with made.scheduled(ALONE) as ready:
            for verb in VERBS:
                before = asyncio.run(requests(bed))
                found[f"CNI {verb} alone"] = median(alone(plugin, verb, ready, *files))
                asked[verb] = asyncio.run(requests(bed)) - before
        for together, times in BATCHES.items():
            rates: dict[str, list[float]] = defaultdict(list)
            for _ in range(times):
                with made.scheduled(together) as ready:
                    for verb in VERBS:
                        start = time.perf_counter()
                        at_once(plugin, verb, ready, *files, together)
                        rates[verb].append(together / (time.perf_counter() - start))
            found |= {f"CNI {verb}s/s, {together} at once": median(each) for verb, each in rates.items()}
    return found, asked


def measure(bed: Bed, rounds: int) -> tuple[list[Row], list[str]]:
    """Run both by turns; who goes first changes with every round. A round before the first only warms up."""
    asyncio.run(furnish(bed))
    url = f"kubernetes://{bed.control_plane.kubeconfig_of(ACCOUNT)}"
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    asked: dict[str, Counter[str]] = {verb: Counter() for verb in VERBS}
    with tempfile.TemporaryDirectory(prefix="felix-bench-") as name, agent(Path(name), url) as ours:
        plugins, made = [ours, peer(Path(name))], Pods(bed)
        for number in range(rounds + 1):
            for plugin in plugins if number % 2 else reversed(plugins):
                measured, requested = one_round(plugin, made, bed)
                if number:
                    found[plugin.name].append(measured)
                    for verb in VERBS if plugin is ours else ():
                        asked[verb] += requested[verb]
    mine, theirs = found[ours.name], found[PEER_NAME]
    rows = [
        (rate if "/s" in name else duration)(
            name, [one[name] for one in mine], [one[name] for one in theirs], PEER_NAME, "/s" if "/s" in name else "ms"
        )
        for name in mine[0]
    ]
    return rows, [*remarks(rows), *(_requests(verb, counted, rounds * ALONE) for verb, counted in asked.items())]


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the goals and whether they are met."""
    by_name = {row.name: row for row in rows}
    add = by_name["CNI ADD alone"]
    longer, slower = add.ours / add.peer, add.peer / CALICO_PEER_MS
    yield _goal(f"an ADD alone takes {longer:.2f} times as long as {PEER_NAME}'s", longer <= 1.5, "1.5")
    calicos = CALICO_PER_SECOND / slower
    yield (
        f"Calico's plugin, where {PEER_NAME}'s ADD takes {CALICO_PEER_MS:g} ms: {CALICO_ADD_MS:g} ms an ADD,"
        f" {CALICO_PER_SECOND:g} ADDs/s; as {PEER_NAME}'s took {slower:.2f} times as long here, Calico's is taken for"
        f" {CALICO_ADD_MS * slower:.0f} ms and {calicos:.1f} ADDs/s"
    )
    for together in BATCHES:
        times = by_name[f"CNI ADDs/s, {together} at once"].ours / calicos
        yield _goal(f"{together} at once: {times:.1f} times Calico's ADDs/s so scaled", times >= 10, "10")


def _goal(sentence: str, met: bool, goal: str) -> str:
    return f"{sentence} (goal {goal}: {'met' if met else 'missed'})"


def _requests(verb: str, counted: Mapping[str, int], calls: int) -> str:
    each = ", ".join(f"{count / calls:.2f} {what}" for what, count in sorted(counted.items()) if count * 20 > calls)
    return f"requests of one {verb} alone: {sum(counted.values()) / calls:.2f} ({each}); goal 3"
