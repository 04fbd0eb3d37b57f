"""Whose routes are measured: agent and sidecar as on a node, or BIRD in their place, with the same peers.

Both put all that they learn into their kernel, and announce what they have to every peer.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import datastore
from bench.agent_environment import AGENT, environment
from bench.bird_control import connect, executable, routes
from bench.hosts import LENGTH, end, start_within
from bench.patience import PATIENCE_SECONDS
from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.store import Create

POOL = "172.16.0.0/12"  # far peers announce parts of 10.0.0.0/8
_LOOK_SECONDS = 0.005


class Router(Protocol):
    """What is measured, by turns with its rival. name: of the program, for a table."""

    name: str

    def start(self) -> None:
        """Start all of its programs, cold."""

    def restart(self) -> None:
        """Kill -9 what writes routes, and start it again."""

    def processes(self) -> Sequence[int]:
        """Return the numbers of all of its processes."""

    def ready(self) -> None:
        """Wait until it writes what it learns into the kernel."""

    def settled(self, learned: int, pods: int = 0) -> None:
        """Wait until it has so many routes, and has compared them with the kernel's."""

    def stop(self) -> None:
        """End it; the kernel's routes go with the namespace."""


class Ours:
    """Agent and sidecar. nodes: the addresses of the cluster's other nodes, which are its peers."""

    name = "felix-py"

    def __init__(self, netns: int, folder: Path, address: str, nodes: Sequence[str]) -> None:
        self.folder = folder
        self._netns, self._address, self._nodes = netns, f"{address}/{LENGTH}", nodes
        self._sidecar: subprocess.Popen[bytes] | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._log = (folder / "programs.log").open("wb")
        asyncio.run(self._write_nodes())

    async def _write_nodes(self) -> None:
        store = datastore.open(f"sqlite://{self.folder}/cluster.db")
        nodes = [
            Node.make(f"node-{number}", bgp={"ipv4Address": f"{address}/{LENGTH}"})
            for number, address in enumerate(self._nodes)
        ]
        known = ClusterInformation.make("default", cluster_guid="f" * 32, datastore_ready=True)
        try:
            await store.write(*map(Create, [known, *nodes]))
        finally:
            await store.close()

    def start(self) -> None:
        run = self.folder / "run" / "bgp"
        sidecar = (sys.executable, "-m", "bgp", "--socket", f"{run}/bgp.sock", "--state-dir", str(run))
        self._sidecar = start_within(self._netns, sidecar, environment=self._environment(), log=self._log)
        self._start_agent()

    def restart(self) -> None:
        assert self._agent
        self._agent.kill()
        self._agent.wait()
        self._start_agent()

    @property
    def agent(self) -> int:
        assert self._agent
        return self._agent.pid

    def processes(self) -> Sequence[int]:
        assert self._sidecar and self._agent
        sidecar = self._sidecar.pid
        exabgp = Path(f"/proc/{sidecar}/task/{sidecar}/children").read_text().split()
        return [self._agent.pid, sidecar, *map(int, exabgp)]

    def ready(self) -> None:
        self._wait(lambda status: _progress(status, "first_write") and _progress(status, "sidecar_connected"))

    def settled(self, learned: int, pods: int = 0) -> None:
        self._wait(lambda status: _is_settled(status, learned, pods))

    def _wait(self, enough: Callable[[dict[str, Any]], bool]) -> None:
        """Look at the agent's status until it is enough. Raises SystemExit: it takes too long.

        Looks take a fifth of the time at most: with 250 pods each costs the agent 4 ms of what it needs to settle, with
        100,000 routes agent and sidecar a tenth of a second.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            began = time.monotonic()
            if enough(status := self._page("/status")):
                return
            looked = time.monotonic()
            if looked > deadline:
                log = (self.folder / "programs.log").read_text(errors="replace")
                raise SystemExit(f"felix-py does not settle: {json.dumps(status)[:2000]}; its log ends: {log[-2000:]}")
            time.sleep(max(_LOOK_SECONDS, 4 * (looked - began)))

    def stop(self) -> None:
        programs = [program for program in (self._agent, self._sidecar) if program]
        for program in programs:
            program.terminate()
        for program in programs:
            end(program)
        self._log.close()

    def _start_agent(self) -> None:
        self._agent = start_within(self._netns, AGENT, environment=self._environment(), log=self._log)

    def _environment(self) -> dict[str, str]:
        return dict(environment(self.folder, address=self._address, pool=POOL))

    def _page(self, page: str) -> dict[str, Any]:
        """Return a page of the agent; nothing while it does not answer."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.folder / "run" / "status.sock"))
                connection.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                found: dict[str, Any] = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        return found


def _is_settled(status: dict[str, Any], learned: int, pods: int) -> bool:
    has = status.get("routes", {})
    done = _progress(status, "first_write") and _progress(status, "learned_settled")
    return done and has.get("learned", 0) >= learned and has.get("pods", 0) >= pods


def _progress(status: dict[str, Any], step: str) -> bool:
    return bool(status.get("progress", {}).get(step))


class Bird:
    """BIRD with a session for each peer. Of pods it knows nothing."""

    name = "BIRD 2"

    def __init__(self, netns: int, folder: Path, address: str, nodes: Sequence[str]) -> None:
        self._netns, self._folder, self._executable = netns, folder, executable()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        (folder / "bird.conf").write_text(configuration(address, nodes))

    def start(self) -> None:
        files = ("-c", f"{self._folder}/bird.conf", "-s", self._socket, "-P", f"{self._folder}/bird.pid")
        self._process = start_within(self._netns, (self._executable, "-f", *files))

    def restart(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()
        Path(self._socket).unlink()
        self._control = None
        self.start()

    def processes(self) -> Sequence[int]:
        assert self._process
        return [self._process.pid]

    def ready(self) -> None:
        self._controlled()

    def settled(self, learned: int, pods: int = 0) -> None:
        control = self._controlled()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (there := routes(control)) < learned:
            if time.monotonic() > deadline:
                raise SystemExit(f"BIRD does not settle: it has {there} of {learned} routes")
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        if self._control:
            self._control.close()
        if self._process:
            end(self._process)

    def _controlled(self) -> socket.socket:
        assert self._process
        self._control = self._control or connect(self._socket, self._process)
        return self._control

    @property
    def _socket(self) -> str:
        return f"{self._folder}/bird.ctl"


def configuration(address: str, nodes: Sequence[str]) -> str:
    """Return a bird.conf that is Calico's as far as this goes: a scan each 2 s, iBGP with all, who dials by address.

    Its waits are shorter than Calico's, so that nobody is measured by a pause of a configuration.
    """
    sessions = "".join(
        f"protocol bgp peer{number} from node {{ neighbor {node} as {DEFAULT_AS_NUMBER};"
        f"{' passive on;' if node > address else ''} }}\n"
        for number, node in enumerate(nodes)
    )
    return f"""router id {address};
protocol device {{ }}
protocol kernel kernel1 {{
  learn; persist; scan time 2; metric 1030;
  ipv4 {{ import none; export where source = RTS_BGP; }};
}}
template bgp node {{
  local {address} as {DEFAULT_AS_NUMBER}; direct;
  connect delay time 0; connect retry time 1; error wait time 1, 5;
  ipv4 {{ import all; export none; }};
}}
{sessions}"""
