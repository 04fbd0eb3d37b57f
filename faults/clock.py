"""The wall clock of a node's programs jumps, and jumps back.

An edge: a context in which the fault lasts; it yields what was done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faults.cluster import Cluster
from faults.schedule import Fault
from lab.wall_clock import SHIFT

_HOUR = 3600
_SHIFTS = (_HOUR, -_HOUR, 400 * 24 * _HOUR, 7)


@asynccontextmanager
async def jumped(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    shift = _SHIFTS[fault.choice % len(_SHIFTS)]
    file = cluster.nodes[fault.node].path(SHIFT)
    file.write_text(str(shift))
    try:
        yield f"the wall clock is {shift:+d} s for {fault.seconds} s"
    finally:
        file.unlink()
