"""What memory agent, sidecar and ExaBGP take together, and the agent's processor time at rest, beside BIRD.

`python -m bench.memory [ROUNDS]`: a node with 10,000 learned routes and 250 pods; and the agent alone in a cluster with
12,800 pods on other nodes, beside itself in an empty one. Memory is PSS: what processes share counts once in all.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import full_cluster
from bench.at_rest import percent
from bench.cni import agent, be_a_node
from bench.full_node import PODS, ROUTES, full_nodes
from bench.result import Row, duration, figure, report, rounds_of
from bench.rig import by_turns
from bench.routers import Bird

REST_SECONDS = 60  # in which the agent checks its invariants once
ADDRESS = "192.0.2.200/24"  # which no node of the full cluster has


def pss_mib(processes: Iterable[int]) -> float:
    """Return the proportional set size of processes together, in MiB."""
    found = 0
    for process in processes:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                found += int(line.split()[1])
    return found / 1024


def one_node(rounds: int, routes: int = ROUTES, count: int = PODS, rest: float = REST_SECONDS) -> list[Row]:
    """Return what a node takes, started anew in each round."""
    all_three: list[float] = []
    birds: list[float] = []
    at_rest: list[float] = []
    for number in range(rounds):
        with full_nodes(routes, count) as (ours, theirs):
            at_rest += percent([[ours.router.agent]], rest)
            all_three.append(pss_mib(ours.router.processes()))
            birds.append(pss_mib(theirs.router.processes()))
        print(f"memory: round {number + 1} of {rounds} done", file=sys.stderr)
    name = f"{routes:,} routes and {count} pods"
    return [
        duration(f"memory of all three, {name}", all_three, birds, Bird.name, "MiB"),
        figure(f"CPU of the agent at rest, {name}", at_rest, "%"),
    ]


def elsewhere(rounds: int, nodes: int = full_cluster.NODES) -> Row:
    """Return what the agent takes where all pods are on other nodes, beside itself where there are none."""
    with TemporaryDirectory(prefix="felix-bench-") as folder:
        path = Path(folder, "full.db")
        asyncio.run(full_cluster.write_file(path, nodes))
        full, empty = by_turns(rounds, lambda: _agent_alone(f"sqlite://{path}"), lambda: _agent_alone(""), "elsewhere")
    count = nodes * full_cluster.ADDRESSES // full_cluster.NODES
    return duration(f"memory of the agent, {count:,} pods on other nodes", full, empty, "no other pods", "MiB")


def _agent_alone(url: str) -> float:
    with TemporaryDirectory(prefix="felix-bench-") as folder, agent(Path(folder), url, ADDRESS) as plugin:
        return pss_mib([plugin.agent])


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    rows = one_node(rounds)
    be_a_node(ADDRESS)
    report("memory", [*rows, elsewhere(rounds)], rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
