"""What processor time programs take while nothing happens: for `bench.mesh` with many peers, and for `bench.memory`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.processor_time import processor_seconds
from bench.result import Row, duration
from bench.rig import rig
from bench.routers import Bird, Ours

PEERS = 300
WINDOW_SECONDS = 30  # in which each peer sends a keepalive
SETTLING_SECONDS = 5


def percent(groups: Sequence[Sequence[int]], seconds: float) -> list[float]:
    """Return what share of a processor each group of processes takes meanwhile, in percent."""
    before = [sum(map(processor_seconds, group)) for group in groups]
    began = time.perf_counter()
    time.sleep(seconds)
    after = [sum(map(processor_seconds, group)) for group in groups]
    took = time.perf_counter() - began
    return [100 * (b - a) / took for a, b in zip(before, after, strict=True)]


def row(rounds: int, peers: int = PEERS, seconds: float = WINDOW_SECONDS) -> Row:
    """Return the row of both at rest, side by side."""
    with rig(Ours, peers) as ours, rig(Bird, peers) as theirs:
        for made in (ours, theirs):
            made.start()
            made.router.ready()
        time.sleep(SETTLING_SECONDS)
        found = [percent([ours.router.processes(), theirs.router.processes()], seconds) for _ in range(rounds)]
    mine, peer = zip(*found, strict=True)
    return duration(f"CPU at rest with {peers} peers", mine, peer, Bird.name, "%")
