"""What a cluster left on this host: processes in its namespaces, cgroups, its folder."""

from __future__ import annotations

import time

from lab.leftovers import SETTLE_SECONDS, listing
from tests.cluster.cluster import Cluster
from tests.runtimes.machine import cgroups


def leftovers(made: Cluster, namespaces: frozenset[str]) -> list[str]:
    """Return what is left of a cluster that has ended, one sentence each. namespaces: those that it had."""
    deadline = time.monotonic() + SETTLE_SECONDS  # a process that has been killed is reaped within moments
    while (found := _leftovers(made, namespaces)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _leftovers(made: Cluster, namespaces: frozenset[str]) -> list[str]:
    return [
        *(
            f"process {one.pid}: {one.command}"
            for one in listing().processes.values()
            if namespaces & {*one.namespaces}
        ),
        *(f"cgroup {path}" for name in made.names for path in cgroups(name)),
        *(f"folder {folder}" for folder in (made.folder,) if folder.exists()),
    ]
