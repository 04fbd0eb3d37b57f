"""How many addresses a second are assigned on the Kubernetes API, beside bare creates by the same client.

Each node is a process of its own, `python -m bench.assigns NODE KUBECONFIG`: an agent as far as addresses go, with a
client, an allocator, and the watch that feeds it. A bare create is that of an IPAMHandle, the small object that each
assignment creates too. Both are run by turns with equally many callers, each with one request at a time; the node owns
no block when a run begins, so what claiming costs is in it, and what was made is deleted afterwards, unmeasured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, Literal, TypeAlias, TypeVar

from bench.api_server import requests, servers_ms
from bench.result import Row, duration, rate
from datastore.kinds.ipam import BlockAffinity, IPAMConfig, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.kube.access import read_access
from datastore.kube.store import KubeStore
from datastore.names import NETWORK
from datastore.store import Gone, InSync
from felix_py import gc_tuning
from felix_py.cluster.interests import watched
from ipam.allocator import AddressesWanted, Allocator
from ipam.names import attribute_time, handle_name, pod_handle
from tests.kube.bed import Bed

COUNT = 1000
PEER_NAME = "bare creates"
NODES = ("n1", "n2", "n3")
PLACES = {"one node": (1, 50), "three nodes": (3, 50), "three nodes, 50 callers on each": (3, 150)}
"""Each with its nodes, and the callers on all of them together."""
REMARK = (
    "Calico 3.32.1's library on another machine, so no ratio: 42 assigns/s at best;"
    " at 50 callers on one node 4.8/s, p99 53 s"
)
TREE = Path(__file__).parents[1]

T = TypeVar("T")
Work: TypeAlias = Literal["create", "assign"]


@dataclass(frozen=True, slots=True)
class Finished:
    """What one node did in one run, its times by the clock that all processes share."""

    began: float
    ended: float
    milliseconds: list[float]
    processor_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One run on all nodes: how fast, and what each create or assignment cost."""

    per_second: float
    p50_ms: float
    p99_ms: float
    client_ms: float
    """Processor time of the nodes' processes, each; `server_ms`: that of API server and etcd."""
    server_ms: float
    requests: dict[str, float]


class NodeClient:
    """One node's client, in a process of its own."""

    def __init__(self, node: str, kubeconfig: str) -> None:
        self._node = node
        self._store = KubeStore(partial(read_access, kubeconfig))
        self._allocator = Allocator(self._store)
        self._made: list[IPAMHandle] = []
        self._assigned: list[str] = []
        self._released = self._seen_released = 0
        self._followed = asyncio.Condition()

    async def follow(self, in_sync: asyncio.Event) -> None:
        """Hand on what an agent watches."""
        await self._allocator.adopt(self._node)
        async for event in self._store.watch(*watched(self._node)):
            self._allocator.on_event(event)
            match event:
                case InSync():
                    in_sync.set()
                case Gone(kind, name) if kind is BlockAffinity and name.startswith(f"{self._node}-"):
                    async with self._followed:
                        self._seen_released += 1
                        self._followed.notify_all()

    async def run(self, work: Work, callers: int, count: int) -> Finished:
        """Do this often what is to be measured, in as many callers."""
        act = self._create if work == "create" else self._assign
        left = iter([pod_handle(NETWORK, os.urandom(32).hex()) for _ in range(count)])
        found: list[float] = []
        began, spent = time.monotonic(), time.process_time()
        await asyncio.gather(*(_call(act, left, found) for _ in range(callers)))
        return Finished(began, time.monotonic(), found, (time.process_time() - spent) * 1e3)

    async def clean(self, callers: int) -> None:
        """Delete what was made, and return when the watch has told the allocator that its blocks are gone."""
        made, assigned, found = iter(self._made), iter(self._assigned), list[float]()
        await asyncio.gather(*(_call(self._store.delete, made, found) for _ in range(callers)))
        await asyncio.gather(*(_call(self._allocator.release_handle, assigned, found) for _ in range(callers)))
        self._released += len(await self._allocator.release_affinity(self._node))
        self._made, self._assigned = [], []
        async with self._followed:
            await self._followed.wait_for(lambda: self._seen_released >= self._released)

    async def _create(self, handle: str) -> None:
        record = IPAMHandle.make(handle_name(handle), handle_id=handle, block={"10.66.0.0/26": 1}, deleted=False)
        self._made.append(await self._store.create(record))

    async def _assign(self, handle: str) -> None:
        pod = {"node": self._node, "namespace": "default", "pod": f"pod-{handle[-12:]}"}
        attributes = {**pod, "timestamp": attribute_time(time.time_ns())}
        await self._allocator.assign(AddressesWanted(self._node, handle, attributes, fresh=True))
        self._assigned.append(handle)


async def _call(act: Callable[[T], Awaitable[object]], left: Iterator[T], found: list[float]) -> None:
    """Be one caller: take what is left, one after the other, and note how long each took."""
    for one in left:
        start = time.monotonic()
        await act(one)
        found.append((time.monotonic() - start) * 1e3)


class NodeProcess:
    """The process of one node: a command goes in, what it did comes out."""

    def __init__(self, node: str, kubeconfig: Path) -> None:
        command = (sys.executable, "-m", "bench.assigns", node, str(kubeconfig))
        self.process = subprocess.Popen(command, cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, *command: str | int) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a node's process ended while it was measured; its last words are above")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def node_processes(bed: Bed, names: Sequence[str]) -> Iterator[list[NodeProcess]]:
    """Run the nodes' processes, and yield when each is in sync."""
    running = [NodeProcess(name, bed.control_plane.kubeconfig) for name in names]
    try:
        for each in running:
            each.answer()
        yield running
    finally:
        for each in running:
            each.process.terminate()
            each.process.wait()


def shares(whole: int, parts: int) -> list[int]:
    """Divide a number so that the parts differ by one at most."""
    return [(whole + number) // parts for number in reversed(range(parts))]


def run(bed: Bed, nodes: Sequence[NodeProcess], work: Work, callers: int, count: int) -> Measured:
    """Have all nodes do their share at the same time, and then delete what was made."""
    asked, spent = asyncio.run(requests(bed)), servers_ms(bed)
    of_each = list(zip(nodes, shares(callers, len(nodes)), shares(count, len(nodes)), strict=True))
    for node, its_callers, its_count in of_each:
        node.tell(work, its_callers, its_count)
    done = [Finished(**node.answer()) for node in nodes]
    spent, asked = servers_ms(bed) - spent, asyncio.run(requests(bed)) - asked
    for node, its_callers, _ in of_each:
        node.tell("clean", its_callers)
    for node in nodes:
        node.answer()
    return measured(done, spent, asked)


def measured(done: Sequence[Finished], servers_ms: float, asked: Mapping[str, int]) -> Measured:
    """Return what the nodes did together."""
    times = [one for finished in done for one in finished.milliseconds]
    hundredths = quantiles(times, n=100, method="inclusive")
    return Measured(
        len(times) / (max(one.ended for one in done) - min(one.began for one in done)),
        hundredths[49],
        hundredths[98],
        sum(one.processor_ms for one in done) / len(times),
        servers_ms / len(times),
        {name: number / len(times) for name, number in asked.items()},
    )


def measure(bed: Bed, rounds: int, count: int = COUNT) -> tuple[list[Row], list[str]]:
    """Return the rows, and what is no comparison. A round before the first only warms up; who goes first changes."""
    asyncio.run(furnish(bed))
    rows, remarks = [], [REMARK]
    for place, (nodes, callers) in PLACES.items():
        found: defaultdict[Work, list[Measured]] = defaultdict(list)
        with node_processes(bed, NODES[:nodes]) as running:
            for number in range(rounds + 1):
                order: tuple[Work, Work] = ("create", "assign") if number % 2 else ("assign", "create")
                for work in order:
                    one = run(bed, running, work, callers, count)
                    if number:
                        found[work].append(one)
        rows += rows_of(place, found["assign"], found["create"])
        remarks.append(f"requests per assignment, {place}: {mean_requests(found['assign'])}")
    return rows, remarks


def rows_of(place: str, ours: Sequence[Measured], peer: Sequence[Measured]) -> list[Row]:
    """Return the rows of one place: rates, durations, processor time."""
    rates = [one.per_second for one in ours], [one.per_second for one in peer]
    durations = {
        "assign p50": ([one.p50_ms for one in ours], [one.p50_ms for one in peer]),
        "assign p99": ([one.p99_ms for one in ours], [one.p99_ms for one in peer]),
        "assign, processor time of the client": ([one.client_ms for one in ours], [one.client_ms for one in peer]),
        "assign, processor time of the servers": ([one.server_ms for one in ours], [one.server_ms for one in peer]),
    }
    return [
        rate(f"assigns, {place}", *rates, PEER_NAME, "/s"),
        *(duration(f"{name}, {place}", *both, PEER_NAME, "ms") for name, both in durations.items()),
    ]


def mean_requests(runs: Sequence[Measured]) -> str:
    """Return how many requests of each verb and kind one assignment took: `POST ipamhandles 1.000, …`."""
    names = sorted({name for one in runs for name in one.requests})
    means = {name: sum(one.requests.get(name, 0) for one in runs) / len(runs) for name in names}
    return ", ".join(f"{name} {mean:.3f}" for name, mean in sorted(means.items(), key=lambda item: -item[1]))


async def furnish(bed: Bed) -> None:
    """Make the cluster: a pool, the nodes, affinity as Calico has it unless told otherwise."""
    store = bed.open()
    for resource in (
        IPPool.make("pods", cidr="10.65.0.0/16"),
        IPAMConfig.make("default", strict_affinity=False, auto_allocate_blocks=True),
        *map(Node.make, NODES),
    ):
        await store.create(resource)
    await store.close()


async def serve(node: str, kubeconfig: str) -> None:
    """Be the process of one node, for one command after the other, until its input ends."""
    gc_tuning.apply()
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    client, in_sync = NodeClient(node, kubeconfig), asyncio.Event()
    async with asyncio.TaskGroup() as group:  # a watch that fails ends the process
        following = group.create_task(client.follow(in_sync))
        await in_sync.wait()
        print("{}", flush=True)
        while line := await commands.readline():
            match json.loads(line):
                case ["clean", callers]:
                    await client.clean(callers)
                    print("{}", flush=True)
                case [work, callers, count]:
                    print(json.dumps(asdict(await client.run(work, callers, count))), flush=True)
        following.cancel()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
