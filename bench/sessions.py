"""How soon all sessions are up from a cold start, whoever dials. A part of `bench.mesh`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench.result import Row, duration
from bench.rig import by_turns, rig
from bench.routers import Bird, Ours

COUNTS = (100, 300)


def seconds_until_up(rival: type[Ours] | type[Bird], count: int, *, they_dial: bool) -> float:
    with rig(rival, count, they_dial=they_dial) as made:
        return made.start()


def rows(rounds: int, counts: tuple[int, ...] = COUNTS) -> Iterator[Row]:
    for they_dial in (False, True):
        for count in counts:
            name = f"{count} sessions up that {'they' if they_dial else 'we'} dial"
            ours, theirs = by_turns(
                rounds,
                partial(seconds_until_up, Ours, count, they_dial=they_dial),
                partial(seconds_until_up, Bird, count, they_dial=they_dial),
                name,
            )
            yield duration(name, ours, theirs, Bird.name, "s")
