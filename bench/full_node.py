"""A node as full as nodes get, with what others announced in its kernel and pods attached; beside it BIRD."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.cni import alone, files, pods, shim
from bench.rig import Rig, rig
from bench.routers import Bird, Ours

ROUTES, PODS = 10_000, 250


@contextmanager
def full_nodes(routes: int = ROUTES, count: int = PODS) -> Iterator[tuple[Rig[Ours], Rig[Bird]]]:
    """Run both rivals, each on a node of its own with one far peer, until all their routes are in the kernel."""
    with rig(Ours, 1, routes=routes) as ours, rig(Bird, 1, routes=routes) as theirs, pods(count) as ready:
        ours.settle(routes)
        theirs.settle(routes)
        plugin = shim(ours.router.folder, ours.router.agent)
        with files(plugin) as ready_made:
            alone(plugin, "ADD", ready, *ready_made)
        ours.router.settled(routes, count)
        yield ours, theirs
