"""What processor time programs take while nothing happens: for `bench.mesh` with many peers, and for `bench.memory`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.processor_time import processor_seconds
from bench.result import Row, duration
from bench.rig import rig
from bench.routers import Bird, Ours

PEERS = 300
WINDOW_SECONDS = 60  # in which each peer sends two keepalives, and the agent checks its invariants
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
    """Return the row of both at rest, all rounds in the same minute: what rests is in nobody's way."""
    with ExitStack() as stack:
        resting = []
        for _ in range(rounds):
            for made in (stack.enter_context(rig(Ours, peers)), stack.enter_context(rig(Bird, peers))):
                made.start()
                made.router.ready()
                resting.append(made.router.processes())
        time.sleep(SETTLING_SECONDS)
        found = percent(resting, seconds)
    return duration(f"CPU at rest with {peers} peers", found[::2], found[1::2], Bird.name, "%")
