"""What processor time programs take while nothing happens: for `bench.mesh` with many peers, and for `bench.memory`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.processor_time import processor_seconds
from bench.result import Row, duration
from bench.rig import rig
from bench.routers import Bird, Ours
from felix_py.checks import AT_REST_SECONDS

PEERS = 300
REST_SECONDS = AT_REST_SECONDS
"""In which an agent at rest checks its invariants once, which is much of what it takes, and each peer keeps alive."""
SETTLING_SECONDS = 5


def percent(groups: Sequence[Sequence[int]], seconds: float) -> list[float]:
    """Return what share of a processor each group of processes takes meanwhile, in percent."""
    before = [sum(map(processor_seconds, group)) for group in groups]
    began = time.perf_counter()
    time.sleep(seconds)
    after = [sum(map(processor_seconds, group)) for group in groups]
    took = time.perf_counter() - began
    return [100 * (b - a) / took for a, b in zip(before, after, strict=True)]


def row(rounds: int, peers: int = PEERS, seconds: float = REST_SECONDS) -> Row:
    """Return the row of both at rest. A round is a pair of them here, and all rest in the same minutes.

    That saves time, but what disturbs the machine then disturbs all rounds.
    """
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
