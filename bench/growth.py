"""What grows with a node's size: DEL with the routes it has learned, ADD with its pods, and what fifty ADDs write.

`python -m bench.growth [ROUNDS]`. Here the peer is the same agent: with no routes, with no pods, or left in peace.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median, quantiles

from bench.cni import Plugin, alone, at_once, files, pods, shim
from bench.picture import curves
from bench.result import Row, duration, figure, report, rounds_of
from bench.rig import Rig, rig
from bench.routers import Ours

LEARNED, OF_EACH_PEER = (0, 10_000, 100_000), 10_000  # of one peer more than 20,000 are refused
CALLS = 20
HELD = (0, 75, 150, 225)  # pods; the last of the 25 that come to these is the 250th
COMING = 25
TOGETHER = (10, 50)
PEERS, UPDATES_EACH = 10, 1000


def dels(rounds: int, learned: Sequence[int] = LEARNED) -> dict[int, list[float]]:
    """Return the median milliseconds of a DEL in each round, by how many routes the node has learned."""
    found: dict[int, list[float]] = {routes: [] for routes in learned}
    with ExitStack() as stack:
        nodes = {routes: _plugin(stack.enter_context(_learning(routes)), routes) for routes in learned}
        for number in range(rounds + 1):
            for routes in learned if number % 2 else reversed(learned):
                with files(nodes[routes]) as ready_made, pods(CALLS) as ready:
                    at_once(nodes[routes], "ADD", ready, *ready_made)
                    took = median(alone(nodes[routes], "DEL", ready, *ready_made))
                if number:  # the round before the first warms up
                    found[routes].append(took)
    return found


def _learning(routes: int) -> AbstractContextManager[Rig[Ours]]:
    """Return a rig whose far peers announce so many routes together."""
    peers = max(1, routes // OF_EACH_PEER)
    return rig(Ours, peers, routes=routes // peers)


def _plugin(made: Rig[Ours], routes: int) -> Plugin:
    made.settle(routes)
    return shim(made.router.folder, made.router.agent)


def adds(rounds: int, held: Sequence[int] = HELD, coming: int = COMING) -> dict[int, list[float]]:
    """Return the median milliseconds of an ADD in each round, by how many pods the node has before."""
    found: dict[int, list[float]] = {count: [] for count in held}
    with ExitStack() as stack:
        nodes = {count: stack.enter_context(_with_pods(count)) for count in held}
        for number in range(rounds + 1):
            for count in held if number % 2 else reversed(held):
                with files(nodes[count]) as ready_made, pods(coming) as ready:
                    took = median(alone(nodes[count], "ADD", ready, *ready_made))
                    at_once(nodes[count], "DEL", ready, *ready_made)
                if number:  # the round before the first warms up
                    found[count].append(took)
    return found


@contextmanager
def _with_pods(count: int) -> Iterator[Plugin]:
    """Return the plugin of a node that has so many pods."""
    with rig(Ours, 1) as made, pods(count) as ready:
        plugin = _plugin(made, 0)
        with files(plugin) as ready_made:
            alone(plugin, "ADD", ready, *ready_made)
        yield plugin


def block_writes(rounds: int, together: Sequence[int] = TOGETHER) -> Iterator[Row]:
    """Yield how many writes of blocks so many ADDs took that were started together."""
    with rig(Ours, 1) as made:
        plugin = _plugin(made, 0)
        for count in together:
            found = []
            for _ in range(rounds):
                with files(plugin) as ready_made, pods(count) as ready:
                    before = _revision(made.router.folder)
                    at_once(plugin, "ADD", ready, *ready_made)
                    found.append(_block_writes_since(made.router.folder, before))
                    at_once(plugin, "DEL", ready, *ready_made)
            yield figure(f"block writes for {count} ADDs at once", found, "")


def _revision(folder: Path) -> int:
    return _one_number(folder, "SELECT MAX(revision) FROM change")


def _block_writes_since(folder: Path, revision: int) -> int:
    return _one_number(folder, "SELECT COUNT(*) FROM change WHERE kind = 'IPAMBlock' AND revision > ?", revision)


def _one_number(folder: Path, query: str, *values: int) -> int:
    """Ask the store's list of changes, which names each write."""
    with closing(sqlite3.connect(folder / "cluster.db")) as connection:
        [number] = connection.execute(query, values).fetchone()
        return int(number)


def while_routes_arrive(rounds: int, peers: int = PEERS, updates: int = UPDATES_EACH, calls: int = 100) -> Row:
    """Return the row of the slowest ADDs while single updates come in, on a new node in each round."""
    busy, quiet = [], []
    for _ in range(rounds):
        with rig(Ours, peers, routes=updates, single=True) as made:
            made.start()
            made.router.ready()
            plugin = shim(made.router.folder, made.router.agent)
            with files(plugin) as ready_made, pods(calls) as before, pods(calls) as meanwhile:
                quiet.append(_p99(alone(plugin, "ADD", before, *ready_made)))
                made.announce()
                busy.append(_p99(alone(plugin, "ADD", meanwhile, *ready_made)))
    return duration(f"ADD while {peers * updates:,} routes arrive, p99", busy, quiet, "none arrives", "ms")


def _p99(found: Sequence[float]) -> float:
    return quantiles(found, n=100, method="inclusive")[98]


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    by_routes, by_pods = dels(rounds), adds(rounds)
    rows = [
        *(
            duration(f"DEL with {routes:,} learned routes", found, by_routes[0], "with none", "ms")
            for routes, found in by_routes.items()
            if routes
        ),
        duration(f"ADD of the {HELD[-1] + COMING}th pod", by_pods[HELD[-1]], by_pods[0], "the first", "ms"),
        *block_writes(rounds),
        while_routes_arrive(rounds),
    ]
    picture = curves(
        "what a call takes, by what the node has",
        "thousands of learned routes; for ADD tens of pods",
        "ms",
        {
            "DEL": [(routes / 1000, median(found)) for routes, found in by_routes.items()],
            "ADD": [(count / 10, median(found)) for count, found in by_pods.items()],
        },
    )
    report("growth", rows, rounds, picture=picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
