"""A whole cluster: its datastore, each node's sidecar and agent as in production, its speakers and its pods.

An edge that decides little: it starts, waits for what others say of themselves, and reports what it saw.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import datastore
from cni.install import install_shim
from datastore.errors import DatastoreError
from datastore.resources import read
from felix_py.status_json import from_json, to_json
from felix_py.status_model import AgentStatus, InvariantReport, RoutesPage, RouteStatus
from lab.node_namespace import DATASTORE, ROUTER, Place, kill
from lab.runtime import TRY_AGAIN, PluginError, Pod, Runtime
from lab.service import Service
from lab.speaker import Speaker
from lab.spec import NodeSpec, Spec
from lab.timescale import PACE

TREE = Path(__file__).resolve().parent.parent
SHIM = TREE / "build" / "felix-cni"
STATUS_SOCKET = "/run/felix/status.sock"

LOOK_SECONDS = 0.05 if PACE == 1 else 1.0
PING_SECONDS = 1.0 * PACE
FIRST_PING_SECONDS = 0.25 * PACE  # while routes are still arriving: ask again soon
ATTACHED_AT_ONCE = 8
# More than two processors answer in time would count as lost.
PACKETS_AT_ONCE = 4000
GIVE_UP_AFTER_ENDED = 5

Tell = Callable[[str, int, int], None]  # what is being done, how much of it is there, how much there will be


class LabError(Exception):
    """The lab cannot go on; the message says what was tried and why it failed."""


class Node:
    """One node: where it is, what runs there, and its container runtime."""

    def __init__(self, spec: NodeSpec, place: Place) -> None:
        self.spec, self.place = spec, place
        self.runtime = Runtime(place)
        self.services = {
            "sidecar": Service(place, "sidecar", (sys.executable, "-m", "bgp", *_SIDECAR), _PYTHON),
            "agent": Service(place, "agent", (sys.executable, "-m", "felix_py"), _agent_environment(spec)),
        }

    def start(self) -> None:
        install_shim(SHIM, self.place.path("/opt/cni/bin"))
        for service in self.services.values():
            service.start()

    async def ready(self) -> bool:
        """True once the runtime would call this node ready: a conflist is there, and STATUS says yes."""
        return any(self.place.path("/etc/cni/net.d").glob("*.conflist")) and await self.runtime.status()

    async def status(self) -> AgentStatus:
        """Return the agent's status; nearly nothing while it does not answer."""
        return from_json(AgentStatus, {"node": self.spec.name, **await self._get("/status")})

    async def routes(self) -> tuple[RouteStatus, ...]:
        """Return the routes the agent wants; none while it does not answer."""
        return from_json(RoutesPage, await self._get("/routes")).routes

    async def invariants(self) -> InvariantReport:
        """Have the agent check its invariants now."""
        return from_json(InvariantReport, await self._get("/invariants"))

    async def page(self, page: str) -> dict[str, Any]:
        """Return any page of the agent; nothing while it does not answer."""
        return await self._get(page)

    async def _get(self, page: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await self.place.get(STATUS_SOCKET, page)
        except (OSError, ValueError):
            return {}
        return answer

    def kill_exabgp(self) -> bool:
        """Kill the process that the sidecar runs for its sessions; the sidecar starts it again."""
        mount = self.place.path("").parent / "ns" / "mnt"
        mine = [pid for pid in _processes("bgp/exabgp_launcher.py") if Path(f"/proc/{pid}/ns/mnt").samefile(mount)]
        return [kill(pid, signal.SIGKILL) for pid in mine] != []


_SIDECAR = ("--socket", "/run/felix/bgp.sock", "--state-dir", "/run/felix/bgp", "--timeout-factor", f"{PACE:g}")
_PYTHON = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _agent_environment(node: NodeSpec) -> dict[str, str]:
    """Return what the manifest's DaemonSet would put into the agent's environment."""
    versions = {address.version for address in node.addresses}
    return {
        **_PYTHON,
        "NODENAME": node.name,
        "IP": "autodetect" if 4 in versions else "none",
        "IP6": "autodetect" if 6 in versions else "none",
        "FELIX_DATASTORE": DATASTORE,
        "FELIX_CNICONFDIR": "/etc/cni/net.d",
        **dict(node.settings),
    }


def _processes(words: str) -> Iterable[int]:
    """Yield the processes of this world whose command line has `words`."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue  # it has just ended
            if words.encode() in command:
                yield int(folder.name)


class Cluster:
    """The lab's contents. `tell` hears of what happens; `started` is when the user asked, by the monotonic clock."""

    def __init__(self, spec: Spec, holders: Mapping[str, int], tell: Tell, started: float) -> None:
        self.spec, self._tell, self._started = spec, tell, started
        self.nodes = {node.name: Node(node, Place(node.name, holders[node.name])) for node in spec.nodes}
        self.speakers = {
            peer.name: Speaker(Place(peer.name, holders[peer.name]), peer, spec.nodes) for peer in spec.peers
        }
        self.router = Place(ROUTER, holders[ROUTER])
        self.seconds: dict[str, float] = {}
        self._refused: list[dict[str, Any]] = []
        self._streaming: list[Pod] = []

    @property
    def pods(self) -> dict[str, Pod]:
        """Every attached pod by name, in the order of the nodes."""
        return {name: pod for node in self.nodes.values() for name, pod in sorted(node.runtime.pods.items())}

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
                await self._until("pings are answered", self._pings(), self._answered)
                self._clock("reachable")
        except TimeoutError:
            self._tell(f"given up after {give_up_seconds:g} s", 0, 0)

    async def add_pod(self, node: str, name: str) -> Pod:
        """Attach one more pod. Raises LabError."""
        if name in self.pods:
            raise LabError(f"add pod {name} on {node}: {self.pods[name].node} has a pod of that name already")
        try:
            return await self._node(node).runtime.add(name)
        except PluginError as error:
            raise LabError(str(error)) from None

    async def delete_pod(self, name: str) -> None:
        if name not in self.pods:
            raise LabError(f"delete pod {name}: there is none; pods: {', '.join(self.pods) or 'none'}")
        try:
            await self._node(self.pods[name].node).runtime.delete(name)
        except PluginError as error:
            raise LabError(f"{error}; it stays, to be deleted again") from None
        self._streaming = [pod for pod in self._streaming if pod.name != name]

    async def collect(self, node: str) -> None:
        """Have a node's plugins take back what belongs to no pod of it. Raises LabError."""
        try:
            await self._node(node).runtime.collect()
        except PluginError as error:
            raise LabError(str(error)) from None

    async def page(self, node: str, page: str) -> dict[str, Any]:
        """Return a page of a node's agent, nothing while it does not answer. Raises LabError: there is no such node."""
        return await self._node(node).page(page)

    def kill(self, node: str, what: str) -> None:
        """Kill -9 one program of a node, which comes back. Raises LabError."""
        speaker = self.speakers.get(node)
        if speaker and what in (speaker.name, ""):
            done = speaker.kill()
        elif what == "exabgp":
            done = self._node(node).kill_exabgp()
        elif what in self._node(node).services:
            done = self._node(node).services[what].kill()
        else:
            raise LabError(f"kill {what} on {node}: it may be agent, sidecar or exabgp (bird, frr or gobgp on a peer)")
        if not done:
            raise LabError(f"kill {what} on {node}: it is not running just now; it is being started again")

    async def answers(self, seconds: float = PING_SECONDS) -> dict[str, dict[str, float]]:
        """Have every pod ping all addresses of the others; return each answer's round trip in milliseconds.

        All pods at once, or in waves where that would be too many packets.
        """
        pods = self.pods
        wave = asyncio.Semaphore(max(1, PACKETS_AT_ONCE * len(pods) // max(1, self._pings())))

        async def asked(pod: Pod) -> dict[str, float]:
            others = [address for other in pods.values() if other is not pod for address in other.addresses]
            async with wave:
                answer = await pod.ask({"ping": others, "seconds": seconds})
            return dict(answer["answered"])

        return dict(zip(pods, await asyncio.gather(*map(asked, pods.values())), strict=True))

    async def matrix(self) -> dict[str, dict[str, float]]:
        """Return who reaches whom, on all addresses, and the slowest round trip in milliseconds."""
        return self._cells(await self.answers())

    def _cells(self, answers: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
        return {
            name: {
                other.name: max(trips[address] for address in other.addresses)
                for other in self.pods.values()
                if other.name != name and other.addresses and all(address in trips for address in other.addresses)
            }
            for name, trips in answers.items()
        }

    def _pings(self) -> int:
        """Return how many packets it takes that every pod pings every address of the others."""
        return sum(len(pod.addresses) for pod in self.pods.values()) * (len(self.pods) - 1)

    async def start_traffic(self, per_second: float) -> None:
        """Have every pod ping the next pod of another node at a steady pace, until `stop_traffic`."""
        await self.stop_traffic()
        pods = list(self.pods.values())
        for i, pod in enumerate(pods):
            others = [other for other in pods[i:] + pods[:i] if other.node != pod.node]
            if others:
                await pod.ask({"stream": others[0].addresses[0], "per_second": per_second})
                self._streaming.append(pod)

    async def stop_traffic(self) -> dict[str, int]:
        """End the traffic; return how many packets were sent and how many were lost, of all pods together."""
        streaming, self._streaming = self._streaming, []
        ends = await asyncio.gather(*(pod.ask({"stop": True}) for pod in streaming))
        return {key: sum(end[key] for end in ends) for key in ("sent", "lost")}

    async def established(self) -> int:
        """Return how many sessions are up, counted at both ends by what each speaker says."""
        statuses = await asyncio.gather(*(node.status() for node in self.nodes.values()))
        ours = sum(peer.is_up for status in statuses for peer in status.peers)
        theirs = await asyncio.gather(*(speaker.established() for speaker in self.speakers.values()))
        return ours + sum(theirs)

    async def picture(self) -> dict[str, Any]:
        """Return everything the report shows, as plain values."""
        answers, sent = await self.answers(), self._pings()
        checks = await asyncio.gather(*(node.invariants() for node in self.nodes.values()))
        statuses = await asyncio.gather(*(node.status() for node in self.nodes.values()))
        routes = await asyncio.gather(*(node.routes() for node in self.nodes.values()))
        return {
            "name": self.spec.name,
            "nodes": [_node_picture(*one) for one in zip(self.nodes.values(), statuses, routes, strict=True)],
            "pods": [_pod_picture(pod) for pod in self.pods.values()],
            "refused": {
                "expected": {node.name: node.refusal.pods for node in self.spec.nodes if node.refusal},
                "pods": self._refused,
            },
            "sessions": {"expected": self.spec.sessions, "established": await self.established()},
            "matrix": self._cells(answers),
            "pings": {"sent": sent, "lost": sent - sum(map(len, answers.values()))},
            "seconds": dict(self.seconds),
            "invariants": {
                "checked": max((check.checked for check in checks), default=0),
                "violated": sorted(
                    {
                        f"{node}: {violation.number}. {violation.text}"
                        for node, check in zip(self.nodes, checks, strict=True)
                        for violation in check.violated
                    }
                ),
            },
            "troubles": self._troubles(),
        }

    def _services(self) -> Iterable[Service]:
        for node in self.nodes.values():
            yield from node.services.values()
        for speaker in self.speakers.values():
            yield from speaker.services

    def _troubles(self) -> list[str]:
        return [_trouble(service) for service in self._services() if service.ended]

    async def _write_resources(self) -> None:
        DATABASE_FOLDER.mkdir(parents=True, exist_ok=True)
        store = datastore.open(DATASTORE)
        try:
            for record in self.spec.resources:
                await store.create(read(record))
        except DatastoreError as error:
            raise LabError(f"write the resources of lab {self.spec.name}: {error}; the lab ends") from None
        finally:
            await store.close()

    async def _attach_all(self) -> None:
        slots = asyncio.Semaphore(ATTACHED_AT_ONCE)
        wanted = [(node, f"{node.spec.name}-{i + 1}") for node in self.nodes.values() for i in range(node.spec.pods)]

        async def attach(node: Node, name: str) -> None:
            async with slots:
                await self._attach(node, name)
            self._tell("pods are attached", len(self.pods), len(wanted) - len(self._refused))

        await asyncio.gather(*(attach(node, name) for node, name in wanted))

    async def _attach(self, node: Node, name: str) -> None:
        """Attach a pod, again as long as the plugin says to try later, as a kubelet does.

        An expected refusal is noted. Raises LabError for any other.
        """
        expected = node.spec.refusal
        while True:
            try:
                await node.runtime.add(name)
            except PluginError as error:
                if expected and expected.error in error.reason:
                    self._refused.append(
                        {"name": name, "node": node.spec.name, "code": error.code, "error": error.reason}
                    )
                    return
                if error.code != TRY_AGAIN:
                    raise LabError(str(error)) from None
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return

    async def _until_established(self) -> None:
        await self._until("sessions are up", self.spec.sessions, self.established)
        self._clock("established")

    async def _learned(self) -> int:
        """Return how many networks of the peers the nodes have in their kernels, all nodes together."""
        tables = await asyncio.gather(*(node.routes() for node in self.nodes.values()))
        return sum(
            len(wanted & {str(route.prefix) for route in routes if route.in_fib})
            for wanted, routes in zip(self.spec.outside_networks.values(), tables, strict=True)
        )

    async def _ready(self) -> int:
        return sum(await asyncio.gather(*(node.ready() for node in self.nodes.values())))

    async def _answered(self) -> int:
        return sum(map(len, (await self.answers(FIRST_PING_SECONDS)).values()))

    async def _until(self, what: str, wanted: int, seen: Callable[[], Awaitable[int]]) -> None:
        """Look until as many are there as wanted, and tell of each step."""
        last = -1
        while last < wanted:
            if (now := await seen()) != last:
                self._tell(what, now, wanted)
                last = now
            if last < wanted:
                self._give_up_on_the_hopeless()
                await asyncio.sleep(LOOK_SECONDS)

    def _give_up_on_the_hopeless(self) -> None:
        for service in self._services():
            if service.ended >= GIVE_UP_AFTER_ENDED:
                raise LabError(f"{_trouble(service)}; the lab ends")

    def _clock(self, name: str) -> None:
        self.seconds[name] = round(time.monotonic() - self._started, 3)

    def _node(self, name: str) -> Node:
        if name not in self.nodes:
            raise LabError(f"there is no node {name}; nodes: {', '.join(self.nodes)}")
        return self.nodes[name]


DATABASE_FOLDER = Path(DATASTORE.removeprefix("sqlite://")).parent


def _node_picture(node: Node, status: AgentStatus, routes: Iterable[RouteStatus]) -> dict[str, Any]:
    return {
        "name": node.spec.name,
        "addresses": [str(address.ip) for address in node.spec.addresses],
        "as_number": status.as_number,
        "blocks": [str(block) for block in status.blocks],
        "ready": status.ready,
        "peers": to_json(status.peers),
        "routes": to_json(tuple(routes)),
    }


def _pod_picture(pod: Pod) -> dict[str, Any]:
    return {"name": pod.name, "node": pod.node, "addresses": list(pod.addresses)}


def _trouble(service: Service) -> str:
    times = "once" if service.ended == 1 else f"{service.ended} times"
    return f"{service.name} on {service.place.name} ended {times}; its last words: {service.last_words()}"
