"""How soon the agent is in sync again after kill -9, and what it writes into the kernel meanwhile, beside BIRD.

`python -m bench.restart [ROUNDS]`: a node with 10,000 learned routes and 250 pods. The sidecar goes on and still knows
what the peers announced; BIRD has to hear its peer again, and knows of no pods.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

from bench.fib import ROUTE_GROUPS
from bench.full_node import PODS, ROUTES, full_nodes
from bench.result import Row, duration, figure, report, rounds_of
from bench.rig import Rig, by_turns
from bench.routers import Bird
from kernel.events import KernelEvent, RouteChanged, decode_events
from kernel.netlink import NetlinkSocket
from kernel.netns import inside


class Restart(NamedTuple):
    seconds: float
    written: int


def restart(made: Rig[Any], routes: int, pods: int) -> Restart:
    """Kill and start again; count the routes that the kernel reported as changed until all is in sync."""
    with inside(made.node):
        netlink = NetlinkSocket(groups=ROUTE_GROUPS[4])
    with closing(netlink):
        began = time.perf_counter()
        made.router.restart()
        made.router.settled(routes, pods)
        return Restart(time.perf_counter() - began, _changed(netlink))


def _changed(netlink: NetlinkSocket) -> int:
    """Return how many changes of routes wait in the socket."""
    netlink.socket.setblocking(False)
    found: list[KernelEvent] = []
    while True:
        try:
            decode_events(netlink.socket.recv(1 << 16), (), found)
        except BlockingIOError:
            return sum(isinstance(event, RouteChanged) for event in found)
        except OSError as failed:
            if failed.errno != errno.ENOBUFS:
                raise
            raise SystemExit("bench restart: so many routes changed that the kernel could not report them") from None


def measure(rounds: int, routes: int = ROUTES, count: int = PODS) -> list[Row]:
    with full_nodes(routes, count) as (ours, theirs):
        mine, peers = by_turns(
            rounds, lambda: restart(ours, routes, count), lambda: restart(theirs, routes, 0), "restart"
        )
    name = f"{routes:,} routes and {count} pods"
    seconds = [one.seconds for one in mine], [one.seconds for one in peers]
    return [
        duration(f"in sync after kill -9, {name}", *seconds, Bird.name, "s"),
        figure("routes written after kill -9", [one.written for one in mine], ""),
    ]


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    report("restart", measure(rounds), rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
