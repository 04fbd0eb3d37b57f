"""Nodes on one Ethernet for the tests of real sessions: namespaces, sidecars, BIRD.

        hub: bridge
       /     |     \\
   .1 a    .2 b    .3 c …       192.0.2.0/24 and fd99::/64

Everything here is made under this process's id and removed when the fabric is left, whatever happened inside.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bgp.client import Connected, Disconnected, SidecarClient, SidecarError, SidecarEvent
from bgp.protocol import Converged, Learned, Problem, ReplayEnd, Withdrawn
from bgp.speaker import Attributes, LearnedPath, LearnedPaths, LocalNode, Neighbour, Speaker
from net.prefix import Prefix, pack

PATIENCE = 60.0
AS = 64512
_numbers = itertools.count()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def address(number: int) -> str:
    return f"192.0.2.{number}"


async def until(true: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until `true()` is, and return what it returned."""
    deadline = asyncio.get_running_loop().time() + patience
    while not (found := true()):
        assert asyncio.get_running_loop().time() < deadline, f"waited {patience:g} s for {what}"
        await asyncio.sleep(0.02)
    return found


class Fabric:
    """A bridge in a namespace of its own, and one namespace per node number."""

    def __init__(self, directory: Path, nodes: Sequence[int]) -> None:
        self.directory = directory
        self._name = f"felixbgp-{os.getpid()}-{next(_numbers)}"
        self._nodes = nodes
        self._processes: list[subprocess.Popen[bytes]] = []

    def namespace(self, node: int) -> str:
        return f"{self._name}-{node}"

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._remove()

    def _build(self) -> None:
        hub = self.namespace(0)
        ip("netns", "add", hub)
        ip("-n", hub, "link", "add", "br0", "type", "bridge")
        ip("-n", hub, "link", "set", "br0", "up")
        for node in self._nodes:
            self._add(node)

    def _add(self, node: int) -> None:
        hub, inside = self.namespace(0), self.namespace(node)
        ip("netns", "add", inside)
        ip("-n", inside, "link", "set", "lo", "up")
        ip("-n", inside, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{node}", "netns", hub)
        ip("-n", hub, "link", "set", f"p{node}", "master", "br0", "up")
        ip("-n", inside, "address", "add", f"{address(node)}/24", "dev", "eth0")
        ip("-n", inside, "address", "add", f"fd99::{node}/64", "dev", "eth0", "nodad")
        ip("-n", inside, "link", "set", "eth0", "up")

    def cut_off(self, node: int) -> None:
        """Take a node's power: of what it sends from here on, FIN and RST among it, nothing arrives."""
        ip("-n", self.namespace(0), "link", "delete", f"p{node}")

    def power_on(self, node: int) -> None:
        """Begin anew with a node that was cut off and whose processes are gone: its kernel knows no connection."""
        ip("netns", "delete", self.namespace(node))
        self._add(node)

    def _remove(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for node in (*self._nodes, 0):
            # A killed sidecar's ExaBGP may need a moment to notice; its namespace must not stay behind it.
            for pid in subprocess.run(
                ["ip", "netns", "pids", self.namespace(node)], capture_output=True, text=True
            ).stdout.split():
                with_id = int(pid)
                try:
                    os.kill(with_id, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            subprocess.run(["ip", "netns", "delete", self.namespace(node)], capture_output=True)

    def run(self, node: int, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.directory / log).open("ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(node), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "FELIX_LOGSEVERITYSCREEN": "DEBUG"},
            )
        self._processes.append(process)
        return process


class Agent:
    """The agent's end in this process, and every event that it got. `events` is never cleared."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.agent = SidecarClient(socket)  # asks for the status even where it is not started
        self.learned: dict[Prefix, LearnedPaths] = {}
        self.events: list[SidecarEvent] = []
        self.replayed = self.converged = False
        self._tasks: list[asyncio.Task[None]] = []

    def start_agent(self) -> None:
        """Begin with nothing in memory, as an agent that was just started."""
        self.agent = SidecarClient(self.socket)
        self.learned, self.replayed, self.converged = {}, False, False
        self._tasks = [asyncio.create_task(self.agent.run()), asyncio.create_task(self._listen())]

    async def stop_agent(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for event in self.agent.events(lambda: self.learned):
            self.events.append(event)
            match event:
                case Learned(routes):
                    self.learned.update(routes)
                case Withdrawn(prefixes):
                    for prefix in prefixes:
                        self.learned.pop(prefix, None)
                case ReplayEnd(converged):
                    self.replayed, self.converged = True, converged
                case Converged():
                    self.converged = True
                case Connected() | Disconnected() | Problem():
                    pass

    async def wait_for_sidecar(self) -> None:
        """Wait until the sidecar answers; its socket is there a little before."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                await self.agent.status()
                return
            except SidecarError as error:
                assert asyncio.get_running_loop().time() < deadline, str(error)
                await asyncio.sleep(0.02)

    async def peers(self) -> dict[str, dict[str, Any]]:
        try:
            report = await self.agent.status()
        except SidecarError:
            return {}
        return {peer["address"]: peer for peer in report["peers"]}

    async def wait_for_peer(self, number: int, **fields: Any) -> dict[str, Any]:
        """Wait until the status of a peer has these fields."""
        return await self._wait_for(number, lambda peer: all(peer[name] == value for name, value in fields.items()))

    async def wait_for_error(self, number: int, part: str) -> dict[str, Any]:
        """Wait until a peer's last error has this in it."""
        return await self._wait_for(number, lambda peer: part in peer["last_error"])

    async def wait_for_info(self, number: int, part: str) -> dict[str, Any]:
        """Wait until what the status says of a peer's state has this in it."""
        return await self._wait_for(number, lambda peer: part in peer["info"])

    async def _wait_for(self, number: int, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not (peer := (await self.peers()).get(address(number), {})) or not holds(peer):
            assert asyncio.get_running_loop().time() < deadline, f"waited for peer {number} to look otherwise: {peer}"
            await asyncio.sleep(0.05)
        return peer

    async def wait_for_routes(self, routes: Mapping[str, Sequence[int]]) -> None:
        """Wait until exactly these prefixes are learned, from these nodes and through them."""
        wanted = {
            Prefix.parse(prefix): tuple(LearnedPath(pack(address(node)), address(node)) for node in nodes)
            for prefix, nodes in routes.items()
        }
        await until(lambda: self.learned == wanted, f"{sorted(routes)} to be learned at {self.socket}")


class Node(Agent):
    """A sidecar in its namespace, and the agent of it."""

    def __init__(self, fabric: Fabric, number: int) -> None:
        super().__init__(fabric.directory / f"bgp{number}.sock")
        self.fabric, self.number = fabric, number
        self.process: subprocess.Popen[bytes] | None = None

    def start_sidecar(self, *options: str) -> None:
        self.process = self.fabric.run(self.number, *self.command(*options), log=f"sidecar{self.number}.log")

    def command(self, *options: str) -> list[str]:
        places = ["--socket", str(self.socket), "--state-dir", str(self.fabric.directory / f"bgp{self.number}")]
        return [sys.executable, "-m", "bgp", *places, *options]

    def exabgp(self) -> int | None:
        """Return the process id of the sidecar's ExaBGP, None while it has none."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in map(int, children):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"exabgp_launcher" in words and b"--validate" not in words:
                    return pid
        return None


def mesh(number: int, others: Sequence[int], **changes: Any) -> Speaker:
    """Return the speaker of a node in a full mesh with the others: by comparing addresses, one end dials."""
    neighbours = tuple(
        Neighbour(
            address=address(other),
            local_address=address(number),
            peer_as=AS,
            local_as=AS,
            passive=address(other) > address(number),
            families=("ipv4",),
        )
        for other in others
        if other != number
    )
    local = LocalNode(AS, pack(address(number)), frozenset({pack(address(number))}))
    values = {
        "name": f"n{number}",
        "router_id": pack(address(number)),
        "listen": (address(number),),
        "port": 179,
        "neighbours": neighbours,
        "local": local,
        **changes,
    }
    return Speaker(**values)


def routes(number: int, *prefixes: str, **attributes: Any) -> dict[Prefix, Attributes]:
    """Return announcements of these prefixes by a node."""
    shared = Attributes(pack(address(number)), **attributes)
    return {Prefix.parse(prefix): shared for prefix in prefixes}


@asynccontextmanager
async def node(fabric: Fabric, number: int, *options: str) -> AsyncIterator[Node]:
    """A running sidecar with an agent connected to it."""
    one = Node(fabric, number)
    one.start_sidecar(*options)
    one.start_agent()
    try:
        yield one
    finally:
        await one.stop_agent()
