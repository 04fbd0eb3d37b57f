"""How soon what peers announce is in the kernel, over sessions that are up. A part of `bench.mesh`.

The clock runs from the word to the far peers until a third party has counted the last route (`bench.fib.Listener`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from bench.fib import Listener
from bench.result import Row, duration
from bench.rig import by_turns, rig
from bench.routers import Bird, Ours


def seconds_into_fib(
    rival: type[Ours] | type[Bird], peers: int, routes: int, *, single: bool = False, dead: int = 0
) -> float:
    with rig(rival, peers, routes=routes, single=single, dead=dead) as made:
        made.start()
        made.router.ready()
        with closing(Listener(made.node, size=4)) as listener:
            started = time.perf_counter()
            made.announce()
            return listener.seconds_until(started, peers * routes)


def rows(rounds: int, many: tuple[int, int] = (10, 10_000), singles: tuple[int, int] = (100, 100)) -> Iterator[Row]:
    """Yield the rows. many, singles: how many peers, and how many routes each announces."""
    peers, routes = many
    name = f"{peers} peers × {routes:,} routes into the FIB"
    ours, theirs = by_turns(rounds, lambda: seconds_into_fib(Ours, *many), lambda: seconds_into_fib(Bird, *many), name)
    yield duration(name, ours, theirs, Bird.name, "s")
    name = "{} peers × {} single updates into the FIB".format(*singles)
    with_dead = f"{name}, one more peer dead"
    alive, theirs = by_turns(rounds, lambda: _singles(Ours, singles), lambda: _singles(Bird, singles), name)
    yield duration(name, alive, theirs, Bird.name, "s")
    ours, theirs = by_turns(rounds, lambda: _singles(Ours, singles, 1), lambda: _singles(Bird, singles, 1), with_dead)
    yield duration(with_dead, ours, theirs, Bird.name, "s")
    yield duration(f"{with_dead}, beside none dead", ours, alive, "none dead", "s")


def _singles(rival: type[Ours] | type[Bird], singles: tuple[int, int], dead: int = 0) -> float:
    return seconds_into_fib(rival, *singles, single=True, dead=dead)
