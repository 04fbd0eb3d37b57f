"""What memory agent, sidecar and ExaBGP take together, and the agent's processor time at rest, beside BIRD.

`python -m bench.memory [ROUNDS]`: a node with 10,000 learned routes and 250 pods; and the agent alone in a cluster with
12,800 pods on other nodes, beside itself in an empty one. Memory is PSS: what processes share counts once in all.

All rest in the same minutes, to save time; what disturbs the machine then disturbs all of a round. The agents alone are
started anew in each round; the full node is one, and is looked at when they have ended, so that they share nothing with
it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import full_cluster
from bench.at_rest import REST_SECONDS, SETTLING_SECONDS, percent
from bench.cni import Plugin, agent
from bench.full_node import PODS, ROUTES, full_nodes
from bench.hosts import a_host
from bench.result import Row, duration, figure, report, rounds_of
from bench.routers import Bird
from kernel.netns import inside

ADDRESS = "192.0.2.200/24"  # which no node of the full cluster has


def pss_mib(processes: Iterable[int]) -> float:
    """Return the proportional set size of processes together, in MiB."""
    found = 0
    for process in processes:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                found += int(line.split()[1])
    return found / 1024


def measure(
    rounds: int,
    routes: int = ROUTES,
    count: int = PODS,
    nodes: int = full_cluster.NODES,
    rest: float = REST_SECONDS,
    settling: float = SETTLING_SECONDS,
) -> list[Row]:
    """Return what a full node takes, and what an agent alone takes with so many nodes full of pods elsewhere."""
    all_three: list[float] = []
    birds: list[float] = []
    at_rest: list[Sequence[float]] = []
    alone: list[Sequence[float]] = []
    with TemporaryDirectory(prefix="felix-bench-") as folder, full_nodes(routes, count) as (ours, theirs):
        full = Path(folder, "full.db")
        asyncio.run(full_cluster.write_file(full, nodes))
        for number in range(rounds):
            with _agent_alone(f"sqlite://{full}") as among_many, _agent_alone("") as among_none:
                time.sleep(settling)
                resting = [ours.router.agent, among_many.agent, among_none.agent]
                at_rest.append(percent([[process] for process in resting], rest))
                alone.append([pss_mib([process]) for process in resting[1:]])
            all_three.append(pss_mib(ours.router.processes()))
            birds.append(pss_mib(theirs.router.processes()))
            print(f"memory: round {number + 1} of {rounds} done", file=sys.stderr)
    own, many_at_rest, none_at_rest = zip(*at_rest, strict=True)
    many, none = zip(*alone, strict=True)
    name = f"{routes:,} routes and {count} pods"
    elsewhere = f"{nodes * full_cluster.ADDRESSES // full_cluster.NODES:,} pods on other nodes"
    return [
        duration(f"memory of all three, {name}", all_three, birds, Bird.name, "MiB"),
        figure(f"CPU of the agent at rest, {name}", own, "%"),
        duration(f"memory of the agent, {elsewhere}", many, none, "no other pods", "MiB"),
        duration(f"CPU of the agent at rest, {elsewhere}", many_at_rest, none_at_rest, "no other pods", "%"),
    ]


@contextmanager
def _agent_alone(url: str) -> Iterator[Plugin]:
    """Run an agent on a host of its own; without a datastore it has a file, in which there is nobody else."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="felix-bench-")))
        with inside(stack.enter_context(a_host(ADDRESS))):
            plugin = stack.enter_context(agent(folder, url, ADDRESS))
        yield plugin


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    report("memory", measure(rounds), rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
