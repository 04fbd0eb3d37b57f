"""`python -m soak [--minutes M]`: pods and addresses come and go on four nodes, of which two are killed all the time.

    steady   agent          pods of two processes     what is looked at
    killed   agent, -9      pods of one process
    calls    no agent       eight callers of IPAM
    dying    no agent, -9   eight callers of IPAM     all on one SQLite file

Ends with 0 only if nothing grows from the middle of the run to its end, nothing fails, nothing is left when the last
pod is gone, and an hour saw as much as it is to. Writes build/soak.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import datastore
from bench.patience import PATIENCE_SECONDS
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from lab.interruption import INTERRUPTED, ends_in_order
from lab.minutes import minutes
from lab.paths import TREE
from soak.judge import LEAST_ADDRESSES, LEAST_PODS, Run, failures, growth
from soak.node import SoakNode

LONGEST_PAUSE_SECONDS = 20.0  # between crashes
LOOKS = 200
CALLS, DYING = "calls", "dying"


class Soak:
    """A run under way. killed and dying are killed all the time."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """stack: ends what is started here, also where something after it cannot be started."""
        self._stack = stack
        self._file = folder / "cluster.db"
        self._url = f"sqlite://{self._file}"
        asyncio.run(self._make_nodes())
        self._steady = self._node("steady", "192.0.2.1/24", folder)
        self._killed = self._node("killed", "192.0.2.2/24", folder)
        self._pods: list[subprocess.Popen[str]] = []
        self._addresses: list[subprocess.Popen[str]] = []
        self._counts = folder / "addresses.log"
        self.crashes = 0
        self.samples: list[dict[str, float]] = []

    def _node(self, name: str, address: str, folder: Path) -> SoakNode:
        return self._stack.enter_context(closing(SoakNode(name, address, folder / name, self._url)))

    async def _make_nodes(self) -> None:
        store = datastore.open(self._url)
        try:
            for name in (CALLS, DYING):
                await store.create(Node.make(name))
        finally:
            await store.close()

    def start(self) -> None:
        self._steady.wait_until_ready()
        self._killed.wait_until_ready()
        for node in (self._steady, self._steady, self._killed):
            self._pods.append(self._process("soak.pods", str(node.folder), stdout=subprocess.PIPE))
        self._addresses = [self._callers(CALLS), self._callers(DYING)]

    def go_on(self, seconds: float) -> None:
        """Kill and look, again and again, for so long."""
        began = time.monotonic()
        pause = min(LONGEST_PAUSE_SECONDS, seconds / 6)
        last_ready = began
        while (now := time.monotonic()) < began + seconds:
            self.samples.append(self._look())
            if not self._killed.is_ready():
                last_ready = now
            elif now >= last_ready + pause:
                self._crash()
                last_ready = now
            time.sleep(seconds / LOOKS)

    def end(self) -> tuple[int, list[str]]:
        """End the pods and the callers; return how many calls of the plugin succeeded, and what failed."""
        succeeded, failed = 0, []
        for process in self._pods:
            try:
                said, _ = process.communicate(timeout=PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                failed.append(f"a process of pods was not done with them within {PATIENCE_SECONDS:g} s")
                continue
            if process.returncode:
                failed.append(f"a process of pods ended with status {process.returncode}")
                continue
            found = json.loads(said)
            succeeded += found["succeeded"]
            failed += [found["refused"]] if found["refused"] else []
        for process in self._addresses:
            process.communicate()
            if process.returncode:
                failed.append(f"a process of callers of IPAM ended with status {process.returncode}")
        for node in (self._steady, self._killed):
            failed += [f"{node.name} logged: {line}" for line in _tracebacks(node.log.read_text(errors="replace"))]
        return succeeded, failed

    def addresses(self) -> int:
        """Return how many operations of IPAM have been counted."""
        return sum(map(int, self._counts.read_text().split()))

    def left(self) -> list[str]:
        """Return what belongs to no pod, once what goes away by itself has gone."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := [*asyncio.run(self._recorded()), *self._devices()]) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _crash(self) -> None:
        """Kill an agent, and a process that calls IPAM."""
        self._killed.kill()
        self._killed.start()
        _kill(self._addresses[1])
        self._addresses[1] = self._callers(DYING)
        self.crashes += 2

    def _callers(self, node: str) -> subprocess.Popen[str]:
        with self._counts.open("ab") as counts:
            return self._process("soak.addresses", self._url, node, stdout=counts.fileno())

    def _process(self, module: str, *arguments: str, stdout: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(
            command, cwd=TREE, stdin=subprocess.PIPE, stdout=stdout, text=True, start_new_session=True
        )
        self._stack.callback(_kill, process)
        return process

    def _look(self) -> dict[str, float]:
        pid, log = self._steady.pid, self._steady.log
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
        ahead = self._file.with_name(f"{self._file.name}-wal")
        return {
            "memory of the agent, MiB": resident / (1 << 20),
            "descriptors of the agent": len(list(Path(f"/proc/{pid}/fd").iterdir())),
            "SQLite file, KiB": self._file.stat().st_size / 1024,
            "write-ahead log of SQLite, KiB": ahead.stat().st_size / 1024 if ahead.exists() else 0,
            "log of the agent, KiB": log.stat().st_size / 1024,
        }

    async def _recorded(self) -> list[str]:
        store = datastore.open(self._url)
        try:
            blocks = (await store.list(IPAMBlock)).objects
            handles = (await store.list(IPAMHandle)).objects
            endpoints = (await store.list(WorkloadEndpoint)).objects
        finally:
            await store.close()
        assigned = [block.name for block in blocks for index in block.spec.allocations if index is not None]
        return [
            *(f"an address of block {name} is assigned" for name in assigned),
            *(f"handle {handle.name}" for handle in handles),
            *(f"endpoint {endpoint.name}" for endpoint in endpoints),
        ]

    def _devices(self) -> list[str]:
        return [f"{node.name}: device {name}" for node in (self._steady, self._killed) for name in node.devices()]


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def _tracebacks(log: str) -> Iterator[str]:
    yield from (line for line in log.splitlines() if "Traceback" in line)


@contextmanager
def soaking() -> Iterator[Soak]:
    with TemporaryDirectory(prefix="felix-soak-") as folder, ExitStack() as stack:
        soak = Soak(Path(folder), stack)
        soak.start()
        yield soak


def run(seconds: float) -> Run:
    with soaking() as soak:
        soak.go_on(seconds)
        pods, failed = soak.end()
        return Run(
            seconds, pods, soak.addresses(), soak.crashes, tuple(soak.samples), tuple(soak.left()), tuple(failed)
        )


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description="Let pods and addresses come and go.")
    parser.add_argument("--minutes", type=minutes, default=60.0, help="for how long (%(default)s)")
    asked = parser.parse_args(words).minutes
    try:
        with ends_in_order():
            found = run(60 * asked)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is written", file=sys.stderr)
        return INTERRUPTED
    return report(found)


def report(found: Run) -> int:
    """Write what was found, print it, and return the exit status."""
    grown = growth(found)
    wrong = list(failures(found, grown))
    (TREE / "build").mkdir(exist_ok=True)
    (TREE / "build" / "soak.json").write_text(json.dumps({**asdict(found), "wrong": wrong}, indent=2) + "\n")
    counts = f"{found.pods:,} ADDs and DELs, {found.addresses:,} operations of IPAM, {found.crashes} crashes"
    wanted = f"; an hour is to have {LEAST_PODS:,} and {LEAST_ADDRESSES:,} at least"
    print(f"{found.seconds / 60:g} min: {counts}{wanted if found.is_full else ''}")
    print("\n".join(map(str, grown)))
    print("\n".join(f"✗ {text}" for text in wrong) or "✓ nothing failed, and nothing was left behind")
    print(f"written to {TREE}/build/soak.json")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
