"""What commands cost from start to end, beside `python3 -c pass`, and `ipam check` beside a bare read of its records.

`python -m bench.cli [ROUNDS]`. The cluster has 12,800 pods (`bench.full_cluster`), in an SQLite file and on a real API
server of this run's own. Each round runs every command and its peer once, one after the other. A bare read lists what
the check lists, by the same client in a process of its own, and looks at nothing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import full_cluster
from bench.api_server import api_server
from bench.cni import agent, be_a_node
from bench.result import Row, duration, report, rounds_of
from tests.kube.assets import AssetsError
from tests.kube.bed import Bed

TREE = Path(__file__).parents[1]
PYTHON = (sys.executable, "-c", "pass")
FELIXCTL = (sys.executable, "-m", "felixctl")
BARE_READ = (sys.executable, "-m", "bench.bare_read")
PYTHON_NAME, BARE_NAME = "python -c pass", "bare read"
REMARKS = (
    "calicoctl 3.32.1 on another machine, so no ratio: ipam check of as many addresses 1.96 s and 217 MB;"
    " version and get nodes 37 to 53 ms",
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is measured, and what is run beside it."""

    name: str
    arguments: Sequence[str]
    datastore: str
    peer: tuple[str, ...] = PYTHON
    peer_name: str = PYTHON_NAME


@dataclass(slots=True)
class Runs:
    """What the runs of one command took, each."""

    elapsed_ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def run(self, command: tuple[str, ...], environment: Mapping[str, str], out: int) -> None:
        start = time.perf_counter()
        actions = [(os.POSIX_SPAWN_DUP2, out, 1)]
        process = os.posix_spawn(command[0], command, environment, file_actions=actions)
        _, status, used = os.wait4(process, 0)
        self.elapsed_ms.append((time.perf_counter() - start) * 1e3)
        self.processor_ms.append((used.ru_utime + used.ru_stime) * 1e3)
        self.memory_mb.append(used.ru_maxrss / 1e3 * 1.024)
        if status:
            raise RuntimeError(f"bench cli: {' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")


def commands(file: str, api: str) -> Iterator[Command]:
    yield Command("version --client", ("version", "--client"), file)
    yield Command("version", ("version",), file)
    yield Command("node status", ("node", "status"), file)
    yield Command("get nodes", ("get", "nodes"), file)
    yield Command("get wep -A", ("get", "wep", "-A"), file)
    for where, url in (("SQLite", file), ("Kubernetes", api)):
        yield Command(f"ipam check on {where}", ("ipam", "check"), url, (*BARE_READ, url), BARE_NAME)


def measure(file: str, api: str, run_dir: Path, rounds: int) -> list[Row]:
    """Run all commands, each beside its peer, one round more than is counted: the first warms up.

    run_dir: where the agent of this node has its sockets.
    """
    ours: dict[str, Runs] = defaultdict(Runs)
    theirs: dict[str, Runs] = defaultdict(Runs)
    wanted = list(commands(file, api))
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TREE), "FELIX_RUN_DIR": str(run_dir)}
    with open(os.devnull, "wb") as nothing:
        for number in range(rounds + 1):
            for one in wanted:
                environment = base | {"FELIX_DATASTORE": one.datastore}
                mine, peers = (ours[one.name], theirs[one.name]) if number else (Runs(), Runs())
                mine.run((*FELIXCTL, *one.arguments), environment, nothing.fileno())
                peers.run(one.peer, environment, nothing.fileno())
    return [row for one in wanted for row in _rows(one, ours[one.name], theirs[one.name])]


def _rows(one: Command, ours: Runs, theirs: Runs) -> Iterator[Row]:
    yield duration(one.name, ours.elapsed_ms, theirs.elapsed_ms, one.peer_name, "ms")
    yield duration(f"{one.name}, processor time", ours.processor_ms, theirs.processor_ms, one.peer_name, "ms")
    if one.peer_name == BARE_NAME:  # of less than this process itself has, Linux tells a parent nothing
        yield duration(f"{one.name}, memory", ours.memory_mb, theirs.memory_mb, one.peer_name, "MB")


@contextmanager
def full_clusters() -> Iterator[tuple[str, str]]:
    """Yield the URLs of two datastores with the same cluster: a file, and an API server."""
    with TemporaryDirectory(prefix="felix-bench-") as folder, api_server() as bed:
        path = Path(folder, "cluster.db")
        print(f"writing {full_cluster.ADDRESSES:,} pods to an SQLite file and to an API server", file=sys.stderr)
        # By a process of its own: what this one has at most is the least that its children seem to have.
        writing = multiprocessing.get_context("fork").Process(target=_write, args=(path, bed))
        writing.start()
        writing.join()
        if writing.exitcode:
            raise SystemExit("bench cli: the pods could not be written; the message is above")
        yield f"sqlite://{path}", f"kubernetes://{bed.control_plane.kubeconfig}"


def _write(path: Path, bed: Bed) -> None:
    asyncio.run(full_cluster.write_file(path))
    asyncio.run(full_cluster.write_api(bed))


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    be_a_node()
    try:
        with full_clusters() as (file, api), TemporaryDirectory(prefix="felix-bench-") as folder, agent(Path(folder)):
            rows = measure(file, api, Path(folder, "run"), rounds)
    except AssetsError as missing:
        raise SystemExit(f"bench cli: {missing}") from None
    report("cli", rows, rounds, REMARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
