"""What an ADD and a DEL cost: the shim before the real agent, against Debian's ptp with host-local.

Both are executed as a runtime does, by turns, in one network namespace made for this run: a call's time is from the
spawn to the end of the process. Ours writes SQLite, claims blocks and puts the route through RIB and FIB; the peer
keeps its addresses in files. `python -m bench.cni [ROUNDS]`

The processor time of everything that serves a call, the agent included, is reported beside the elapsed time: it is the
steadier figure on a busy machine.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.agent_environment import ADDRESS, AGENT, TREE, environment
from bench.hosts import have_address
from bench.processor_time import spent_ms
from bench.result import Row, duration, rate, report, rounds_of
from cni.build import build
from kernel.netns import new_network_namespace, unshare_network

SHIM = TREE / "build" / "felix-cni"
PEERS = Path("/usr/lib/cni")
PEER_NAME = "ptp + host-local"
VERBS = ("ADD", "DEL")
ALONE = 30
BATCHES = {10: 4, 50: 1}
"""How many are started together, and how often in a round."""
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Plugin:
    """One of the two: its executable, its configuration, and what its processes need to find each other."""

    name: str
    executable: Path
    network: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    agent: int = 0
    """The process that serves its calls, if there is one."""

    def processor_ms(self) -> float:
        """Return what its agent and all processes that have ended took so far, in milliseconds."""
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = (spent.ru_utime + spent.ru_stime) * 1e3
        return ended + (spent_ms(self.agent) if self.agent else 0)


@dataclass(frozen=True, slots=True)
class PodNetns:
    """A network namespace to attach, held open by its descriptor."""

    container: str
    netns: int
    uid: str = ""
    """Of its Pod object, if there is one."""

    @property
    def name(self) -> str:
        return f"pod-{self.container[:16]}"

    def environment(self, verb: str) -> dict[str, str]:
        return {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": self.container,
            "CNI_NETNS": f"/proc/{os.getpid()}/fd/{self.netns}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(PEERS),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={self.name};K8S_POD_UID={self.uid}",
        }


@contextmanager
def pods(count: int) -> Iterator[list[PodNetns]]:
    """Fresh namespaces, made before and dropped after what is measured."""
    made = [new_network_namespace() for _ in range(count)]
    try:
        yield [PodNetns(os.urandom(32).hex(), netns) for netns in made]
    finally:
        for netns in made:
            os.close(netns)


def call(plugin: Plugin, verb: str, pod: PodNetns, configuration: int, out: int) -> int:
    """Start one process, its files ready-made, and return its number."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, f"/proc/self/fd/{configuration}", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, out, 1),
    ]
    environment = pod.environment(verb) | dict(plugin.environment)
    return os.posix_spawn(plugin.executable, (plugin.executable,), environment, file_actions=actions)


def alone(plugin: Plugin, verb: str, all_pods: list[PodNetns], configuration: int, out: int) -> list[float]:
    """Return the milliseconds of each call, one after the other."""
    found = []
    for pod in all_pods:
        start = time.perf_counter()
        _ended(os.waitpid(call(plugin, verb, pod, configuration, out), 0)[1], plugin, verb, out)
        found.append((time.perf_counter() - start) * 1e3)
    return found


def at_once(plugin: Plugin, verb: str, all_pods: list[PodNetns], configuration: int, out: int) -> float:
    """Start one call for each pod together; return the calls a second until the last has ended."""
    start = time.perf_counter()
    started = {call(plugin, verb, pod, configuration, out) for pod in all_pods}
    while started:
        process, status = os.wait()
        if process not in started:
            raise RuntimeError("a process that serves the calls ended while it was measured")
        started.remove(process)
        _ended(status, plugin, verb, out)
    return len(all_pods) / (time.perf_counter() - start)


def rates(
    plugin: Plugin, scheduled: Callable[[int], AbstractContextManager[list[PodNetns]]], together: int, times: int
) -> dict[str, float]:
    """Return the medians of ADDs/s and DELs/s. scheduled: makes so many pods for the time they are needed."""
    found = defaultdict(list)
    with files(plugin) as ready_made:
        for _ in range(times):
            with scheduled(together) as ready:
                for verb in VERBS:
                    found[f"CNI {verb}s/s, {together} at once"].append(at_once(plugin, verb, ready, *ready_made))
    return {name: median(each) for name, each in found.items()}


@contextmanager
def files(plugin: Plugin) -> Iterator[tuple[int, int]]:
    """Make the files of a plugin's calls: its configuration for standard input, and where it prints."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out:
        given.write(json.dumps(plugin.network).encode())
        given.flush()
        yield given.fileno(), out.fileno()


def _ended(status: int, plugin: Plugin, verb: str, out: int) -> None:
    if status:
        answer = os.pread(out, 65536, 0).decode(errors="replace")
        raise RuntimeError(f"{plugin.name}: {verb} failed with status {status}; its output ends: {answer[-600:]}")


def one_round(plugin: Plugin) -> dict[str, float]:
    """Return the medians of one round, by what was measured."""
    found: dict[str, float] = {}
    with files(plugin) as ready_made, pods(ALONE) as ready:
        found["CNI VERSION"] = median(alone(plugin, "VERSION", ready, *ready_made))
        for verb in VERBS:
            before = plugin.processor_ms()
            found[f"CNI {verb} alone"] = median(alone(plugin, verb, ready, *ready_made))
            found[f"CNI {verb} alone, processor time"] = (plugin.processor_ms() - before) / ALONE
    for together, times in BATCHES.items():
        before = plugin.processor_ms()
        found |= rates(plugin, pods, together, times)
        spent = plugin.processor_ms() - before
        found[f"CNI ADD and DEL, {together} at once, processor time"] = spent / (together * times)
    return found


def rows(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> list[Row]:
    """Return a row for each thing that was measured in all rounds: rates in calls a second, durations in ms."""
    found = []
    for name in ours[0]:
        both = [one[name] for one in ours], [one[name] for one in theirs]
        is_rate = "s/s" in name
        found.append(rate(name, *both, PEER_NAME, "/s") if is_rate else duration(name, *both, PEER_NAME, "ms"))
    return found


def shim(folder: Path, agent: int) -> Plugin:
    """Return our plugin, whose agent has its files in `folder`."""
    network = {
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "felix",
        "felix_state_dir": str(folder / "state"),
    }
    return Plugin("felix-py", SHIM, network, {"FELIX_CNI_SOCKET": str(folder / "run" / "cni.sock")}, agent)


@contextmanager
def agent(folder: Path, datastore: str = "", address: str = ADDRESS) -> Iterator[Plugin]:
    """Run the agent on a node of its own, and yield when its socket answers. Without a datastore it has a file."""
    build(SHIM)
    with open(folder / "agent.log", "wb") as log:
        running = subprocess.Popen(AGENT, env=environment(folder, datastore, address=address), stderr=log, cwd=folder)
    ours = shim(folder, running.pid)
    try:
        end = time.monotonic() + START_SECONDS
        while not (folder / "run" / "cni.sock").exists():
            if running.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the agent did not start: {(folder / 'agent.log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield ours
    finally:
        running.terminate()
        running.wait()


def peer(folder: Path) -> Plugin:
    ipam = {"type": "host-local", "subnet": "10.66.0.0/16", "dataDir": str(folder / "host-local")}
    return Plugin(PEER_NAME, PEERS / "ptp", {"cniVersion": "1.0.0", "name": "peer", "type": "ptp", "ipam": ipam})


def measure(rounds: int) -> list[Row]:
    """Run both by turns; who goes first changes with every round. A round before the first only warms up."""
    with tempfile.TemporaryDirectory(prefix="felix-bench-") as name:
        folder = Path(name)
        with agent(folder) as ours:
            plugins = [ours, peer(folder)]
            found: dict[str, list[dict[str, float]]] = {plugin.name: [] for plugin in plugins}
            for number in range(rounds + 1):
                for plugin in plugins if number % 2 else reversed(plugins):
                    measured = one_round(plugin)
                    if number:
                        found[plugin.name].append(measured)
    return rows(found[ours.name], found[PEER_NAME])


def be_a_node(address: str = ADDRESS) -> None:
    """Move to a network namespace of this run's own, with the address of a node."""
    unshare_network()
    have_address(address)


def main(arguments: list[str]) -> int:
    rounds = rounds_of(arguments)
    if not (PEERS / "ptp").exists():
        print("bench cni: Debian's plugins are missing; install containernetworking-plugins", file=sys.stderr)
        return 1
    be_a_node()
    report("cni", measure(rounds), rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
