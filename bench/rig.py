"""A router under test with its far peers: two hosts, one of the rivals on the node, speakers with sessions beyond."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

from bench.agent_environment import TREE
from bench.hosts import DIALLED_BY_NODE, DIALLED_BY_PEERS, end, peer_addresses, start_within, two_hosts
from bench.patience import PATIENCE_SECONDS
from bench.routers import Router

T = TypeVar("T")
R = TypeVar("R", bound=Router)


@dataclass(frozen=True, slots=True)
class Rig(Generic[R]):
    """What is measured, not yet started, and the process of its far peers. node: the node's network namespace."""

    router: R
    node: int
    far: subprocess.Popen[bytes]

    def start(self) -> float:
        """Start the router cold; return the seconds until all sessions are up. Raises SystemExit: they are not."""
        assert self.far.stdout
        started = time.monotonic()
        self.router.start()
        heard, _, _ = select.select([self.far.stdout], [], [], PATIENCE_SECONDS)
        match self.far.stdout.readline().split() if heard else []:
            case [b"up", moment]:
                return float(moment) - started
        raise SystemExit(f"not all sessions of {self.router.name} came up within {PATIENCE_SECONDS:g} s")

    def settle(self, routes: int) -> None:
        """Start the router, and wait until it has all the routes of the far peers in its kernel."""
        self.start()
        self.router.ready()
        self.announce()
        self.router.settled(routes)

    def announce(self) -> None:
        """Have all peers announce their networks."""
        assert self.far.stdin
        self.far.stdin.write(b"\n")
        self.far.stdin.flush()


@contextmanager
def rig(
    rival: Callable[[int, Path, str, Sequence[str]], R],
    peers: int,
    *,
    routes: int = 0,
    single: bool = False,
    dead: int = 0,
    they_dial: bool = False,
) -> Iterator[Rig[R]]:
    """Make a rig whose far peers are ready. routes, single: what each announces, as in `bench.far_peers`.

    dead: how many more peers are configured that nobody is behind.
    """
    address = DIALLED_BY_PEERS if they_dial else DIALLED_BY_NODE
    addresses = peer_addresses(peers + dead)
    words = [address, "dial" if they_dial else "listen", str(peers), str(routes), *(["single"] if single else [])]
    with (
        TemporaryDirectory(prefix="felix-bench-") as folder,
        two_hosts(address, addresses[:peers]) as hosts,
    ):
        router = rival(hosts.node, Path(folder), address, addresses)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TREE)}
        far = start_within(hosts.far, (sys.executable, "-m", "bench.far_peers", *words), environment=environment)
        made = Rig(router, hosts.node, far)
        try:
            assert far.stdout
            if far.stdout.readline() != b"ready\n":
                raise SystemExit("the far peers did not start; their message is above")
            yield made
        finally:
            router.stop()
            end(far)


def by_turns(rounds: int, ours: Callable[[], T], theirs: Callable[[], T], what: str) -> tuple[list[T], list[T]]:
    """Run both in each round; who goes first changes with every round."""
    mine: list[T] = []
    peers: list[T] = []
    for number in range(rounds):
        turns = [(mine, ours), (peers, theirs)]
        for found, run in turns if number % 2 == 0 else reversed(turns):
            found.append(run())
        print(f"{what}: round {number + 1} of {rounds} done", file=sys.stderr)
    return mine, peers
