"""How soon a route that somebody else deleted or replaced is right again, beside BIRD, which looks every two seconds.

`python -m bench.repair [ROUNDS]`. Of 10,000 learned routes a hundred are deleted, and then a hundred replaced, one
after the other over two seconds, so that BIRD's next look is at any distance. The clock runs from before the change
until the kernel has reported the route as it was.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from statistics import quantiles
from typing import NamedTuple

from bench.full_node import ROUTES, full_nodes
from bench.patience import PATIENCE_SECONDS
from bench.result import Row, duration, report, rounds_of
from bench.rig import by_turns
from bench.routers import Bird
from kernel.events import RouteChanged
from kernel.netns import inside
from kernel.route import NextHop, RouteSpec
from kernel.rtnetlink import Rtnetlink
from net.prefix import Prefix

CHANGES = 100
APART_SECONDS = 0.02
PROTOCOLS = (12, 81)  # BIRD's routes, and our learned ones
CHANGED = ("deleted", "replaced")


class Spread(NamedTuple):
    p50_ms: float
    p99_ms: float


class Repairs:
    """Changes routes of others, and notes how soon they are as they were."""

    def __init__(self, netns: int) -> None:
        with inside(netns):
            self._writer, self._reader = Rtnetlink(), Rtnetlink()
        self._waiting: dict[Prefix, tuple[RouteSpec, float, asyncio.Future[float]]] = {}

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def follow(self) -> None:
        async for batch in self._reader.events():
            now = time.perf_counter()
            for event in batch:
                if isinstance(event, RouteChanged) and not event.gone and event.prefix in self._waiting:
                    wanted, began, done = self._waiting[event.prefix]
                    if event.spec == wanted:
                        del self._waiting[event.prefix]
                        done.set_result(now - began)

    async def routes(self) -> list[tuple[Prefix, RouteSpec]]:
        return await self._reader.dump(PROTOCOLS)

    async def change(self, prefix: Prefix, spec: RouteSpec, instead: RouteSpec | None) -> asyncio.Future[float]:
        """Put another route in its place, or none; return the seconds until it is right again, when they are known."""
        done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[prefix] = spec, time.perf_counter(), done
        await (self._writer.apply([(prefix, instead)]) if instead else self._writer.apply([], [(prefix, spec)]))
        return done


async def spreads(netns: int, changes: int) -> dict[str, Spread]:
    """Return how soon routes are right again, after being deleted, and after being replaced."""
    found = {}
    with closing(Repairs(netns)) as repairs:
        following = asyncio.create_task(repairs.follow())
        chosen = (await repairs.routes())[:changes]
        if len(chosen) < changes:
            raise SystemExit(f"bench repair: only {len(chosen)} routes are there, of {changes}")
        for what in CHANGED:
            waiting = []
            for prefix, spec in chosen:
                waiting.append(await repairs.change(prefix, spec, _another(spec) if what == "replaced" else None))
                await asyncio.sleep(APART_SECONDS)
            async with asyncio.timeout(PATIENCE_SECONDS):
                hundredths = quantiles(await asyncio.gather(*waiting), n=100, method="inclusive")
            found[what] = Spread(1e3 * hundredths[49], 1e3 * hundredths[98])
        following.cancel()
    return found


def _another(spec: RouteSpec) -> RouteSpec:
    """Return a route like this one by a gateway one address further."""
    [hop] = spec.hops
    gateway = (int.from_bytes(hop.gateway) + 1).to_bytes(len(hop.gateway))
    return spec._replace(hops=(NextHop(hop.device, gateway, hop.onlink),))


def measure(rounds: int, routes: int = ROUTES, changes: int = CHANGES) -> list[Row]:
    with full_nodes(routes, count=0) as (ours, theirs):
        mine, peers = by_turns(
            rounds,
            lambda: asyncio.run(spreads(ours.node, changes)),
            lambda: asyncio.run(spreads(theirs.node, changes)),
            "repair",
        )
    return [
        duration(
            f"{what} route put right, {figure.removesuffix('_ms')}",
            [getattr(one[what], figure) for one in mine],
            [getattr(one[what], figure) for one in peers],
            Bird.name,
            "ms",
        )
        for what in CHANGED
        for figure in Spread._fields
    ]


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    report("repair", measure(rounds), rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
