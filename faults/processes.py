"""Faults of our processes: killed at any instruction, or stopped for a while.

An edge: each is a context in which the fault lasts; it yields what was done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faults.cluster import Cluster
from faults.schedule import Fault


@asynccontextmanager
async def killed(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Kill -9 the program that the kind names, which the node starts again."""
    program = fault.kind.removeprefix("kill ")
    await cluster.ask("kill", node=fault.node, what=program)
    yield f"kill -9 {program}"


@asynccontextmanager
async def stopped(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    program = fault.kind.removeprefix("stop ")
    await cluster.ask("kill", node=fault.node, what=program, signal="SIGSTOP")
    try:
        yield f"kill -STOP {program}, -CONT after {fault.seconds} s"
    finally:
        await cluster.ask("kill", node=fault.node, what=program, signal="SIGCONT")
