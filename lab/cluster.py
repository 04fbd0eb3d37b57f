"""The life of a lab's cluster: its datastore, nodes, speakers and pods, from the start to the last change.

An edge that decides little: it starts, waits until what it started reports success, and attaches and detaches pods.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

import datastore
from datastore.errors import DatastoreError, Invalid
from datastore.kinds.refusals import refusals
from datastore.resources import read
from lab.node import LabNode
from lab.node_namespace import ROUTER, NodeNamespace
from lab.paths import DATASTORE
from lab.progress import OnProgress
from lab.runtime import TRY_AGAIN, PluginError, RunningPod
from lab.service import Service
from lab.speaker import ForeignSpeaker
from lab.spec import LabSpec
from lab.state_model import RefusedPod
from lab.timescale import TIMESCALE
from lab.traffic import Answers, Traffic, ping_all, pings

LOOK_SECONDS = 0.05 if TIMESCALE == 1 else 1.0
PING_SECONDS = 1.0 * TIMESCALE
FIRST_PING_SECONDS = 0.25 * TIMESCALE  # while routes are still arriving: ask again soon
ATTACHED_AT_ONCE = 8
MOST_ENDS = 5  # of one program, before the lab is given up


class LabError(Exception):
    """The lab cannot go on; the message says what was tried and why it failed."""


class LabCluster:
    """refused: the pods that were refused, as expected. seconds: when each stage was reached, since the start."""

    def __init__(
        self, spec: LabSpec, namespace_pids: Mapping[str, int], on_progress: OnProgress, started: float
    ) -> None:
        """started: when the user asked for the lab, by the monotonic clock."""
        self.spec, self._on_progress, self._started = spec, on_progress, started
        namespaces = {name: NodeNamespace(name, pid) for name, pid in namespace_pids.items()}
        self.router = namespaces[ROUTER]
        self.nodes = {node.name: LabNode(node, namespaces[node.name]) for node in spec.nodes}
        self.speakers = {peer.name: ForeignSpeaker(namespaces[peer.name], peer, spec.nodes) for peer in spec.peers}
        self.traffic = Traffic()
        self.seconds: dict[str, float] = {}
        self.refused: list[RefusedPod] = []

    @property
    def pods(self) -> dict[str, RunningPod]:
        """Every attached pod by name, in the order of the nodes."""
        return {name: pod for node in self.nodes.values() for name, pod in sorted(node.runtime.pods.items())}

    def services(self) -> Iterable[Service]:
        for node in self.nodes.values():
            yield from node.services.values()
        for speaker in self.speakers.values():
            yield from speaker.services

    # The start

    async def bring_up(self, give_up_seconds: float) -> None:
        """Start everything and wait until the peers' networks are learned and every pod reaches every other.

        What is not there when `give_up_seconds` are over is left as it is, for the report to show.
        Raises LabError: the datastore refuses a resource, or a program ends again and again.
        """
        await self._write_resources()
        for node in self.nodes.values():
            node.start()
        for speaker in self.speakers.values():
            speaker.start()
        try:
            async with asyncio.timeout(give_up_seconds):
                await self._until("agents are ready", len(self.nodes), self._ready)
                self._clock("up")
                await asyncio.gather(self._attach_all(), self._until_established())
                if networks := sum(map(len, self.spec.outside_networks.values())):
                    await self._until("networks of the peers are learned", networks, self._learned)
                await self._until("pings are answered", pings(list(self.pods.values())), self._answered)
                self._clock("reachable")
        except TimeoutError:
            self._on_progress(f"given up after {give_up_seconds:g} s", 0, 0)

    async def _write_resources(self) -> None:
        Path(DATASTORE.removeprefix("sqlite://")).parent.mkdir(parents=True, exist_ok=True)
        store = datastore.open(DATASTORE)
        try:
            for resource in map(read, self.spec.resources):
                if refused := "; ".join(refusals(resource)):
                    raise Invalid(refused)
                await store.create(resource)
        except DatastoreError as error:
            raise LabError(f"write the resources of lab {self.spec.name}: {error}; the lab ends") from None
        finally:
            await store.close()

    async def _attach_all(self) -> None:
        slots = asyncio.Semaphore(ATTACHED_AT_ONCE)
        wanted = [(node, f"{node.spec.name}-{i + 1}") for node in self.nodes.values() for i in range(node.spec.pods)]

        async def attach(node: LabNode, name: str) -> None:
            async with slots:
                await self._attach(node, name)
            self._on_progress("pods are attached", len(self.pods), len(wanted) - len(self.refused))

        await asyncio.gather(*(attach(node, name) for node, name in wanted))

    async def _attach(self, node: LabNode, name: str) -> None:
        """Attach a pod, again as long as the plugin says to try later, as a kubelet does.

        An expected refusal is noted. Raises LabError for any other.
        """
        expected = node.spec.refusal
        while True:
            try:
                await node.runtime.add(name)
            except PluginError as error:
                if expected and expected.error in error.reason:
                    self.refused.append(RefusedPod(name, node.spec.name, error.code, error.reason))
                    return
                if error.code != TRY_AGAIN:
                    raise LabError(str(error)) from None
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return

    async def _until(self, what: str, wanted: int, seen: Callable[[], Awaitable[int]]) -> None:
        """Look until as many are there as wanted, and report each step."""
        last = -1
        while last < wanted:
            if (now := await seen()) != last:
                self._on_progress(what, now, wanted)
                last = now
            if last < wanted:
                self._require_steady_programs()
                await asyncio.sleep(LOOK_SECONDS)

    def _require_steady_programs(self) -> None:
        """Raises LabError: a program has ended so often that it will not come up."""
        for service in self.services():
            if service.ended >= MOST_ENDS:
                raise LabError(f"{service.trouble}; the lab ends")

    def _clock(self, stage: str) -> None:
        self.seconds[stage] = round(time.monotonic() - self._started, 3)

    # What is there

    async def _ready(self) -> int:
        return sum(await asyncio.gather(*(node.ready() for node in self.nodes.values())))

    async def _until_established(self) -> None:
        await self._until("sessions are up", self.spec.sessions, self.established)
        self._clock("established")

    async def established(self) -> int:
        """Return how many sessions are up, counted at both ends by what each speaker reports."""
        statuses = await asyncio.gather(*(node.status() for node in self.nodes.values()))
        ours = sum(peer.is_up for status in statuses for peer in status.peers)
        theirs = await asyncio.gather(*(speaker.established() for speaker in self.speakers.values()))
        return ours + sum(theirs)

    async def _learned(self) -> int:
        """Return how many networks of the peers the nodes have in their kernels, all nodes together."""
        tables = await asyncio.gather(*(node.routes() for node in self.nodes.values()))
        return sum(
            len(wanted & {str(route.prefix) for route in routes if route.in_fib})
            for wanted, routes in zip(self.spec.outside_networks.values(), tables, strict=True)
        )

    async def _answered(self) -> int:
        return sum(map(len, (await self.ping(FIRST_PING_SECONDS)).values()))

    async def ping(self, seconds: float = PING_SECONDS) -> Answers:
        """Have every pod ping every other."""
        return await ping_all(list(self.pods.values()), seconds)

    # Changes

    async def add_pod(self, node: str, name: str, uid: str = "", address: str = "") -> RunningPod:
        """Attach one more pod; with `address` it asks for that one, from whosever block. Raises LabError."""
        if name in self.pods:
            raise LabError(f"add pod {name} on {node}: {self.pods[name].node} has a pod of that name already")
        try:
            return await self.node(node).runtime.add(name, uid=uid, address=address)
        except PluginError as error:
            raise LabError(str(error)) from None

    async def delete_pod(self, name: str) -> None:
        if name not in self.pods:
            raise LabError(f"delete pod {name}: there is none; pods: {', '.join(self.pods) or 'none'}")
        try:
            await self.node(self.pods[name].node).runtime.delete(name)
        except PluginError as error:
            raise LabError(f"{error}; it stays, to be deleted again") from None
        self.traffic.forget(name)

    async def collect(self, node: str) -> None:
        """Have a node's plugins take back what belongs to no pod of it. Raises LabError."""
        try:
            await self.node(node).runtime.collect()
        except PluginError as error:
            raise LabError(str(error)) from None

    def kill(self, node: str, what: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one program of a node: kill -9, after which it is started again. Raises LabError."""
        speaker = self.speakers.get(node)
        if speaker and what in (speaker.name, ""):
            done = speaker.kill(number)
        elif what == "exabgp":
            done = self.node(node).kill_exabgp(number)
        elif what in self.node(node).services:
            done = self.node(node).services[what].kill(number)
        else:
            raise LabError(f"kill {what} on {node}: it may be agent, sidecar or exabgp (bird, frr or gobgp on a peer)")
        if not done:
            raise LabError(f"kill {what} on {node}: it is not running just now; it is being started again")

    def node(self, name: str) -> LabNode:
        """Raises LabError: there is no such node."""
        if name not in self.nodes:
            raise LabError(f"there is no node {name}; nodes: {', '.join(self.nodes)}")
        return self.nodes[name]
