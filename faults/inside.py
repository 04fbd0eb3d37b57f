"""`python -m faults.inside FIRST_PROCESS`: makes the faults of a run, inside the namespaces of its lab.

Entering them cannot be undone, so the command stays outside and starts this process. Standard input has one JSON line,
the order; standard output gets JSON lines: a line of text for a person at each fault, in the end the logs and the
record of the run.

An edge.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence

from msgspec import Struct

from faults.churn import Churn
from faults.cluster import Cluster, FaultError, cluster_within
from faults.in_sync import Sync
from faults.judge import losses
from faults.leaks import leaks, logs, tracebacks
from faults.makers import MAKERS
from faults.probes import Probes
from faults.record import Run, Window
from faults.schedule import NODES, QUIET_SECONDS, Fault, schedule
from faults.timeline import details, line
from felix_py.status.status_json import from_json, to_json
from lab.host import HostError
from lab.interruption import INTERRUPTED
from lab.namespaces import NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER, NEWUTS, enter
from lab.progress import emit
from lab.state_model import PodState

WARM_UP_SECONDS = 1.0
LAST_LOOK_SECONDS = 1.2  # a packet may be held back for a second while a neighbour is looked for


class Order(Struct, frozen=True):
    """What to do. only: see `schedule`. pods: those that the lab began with, which probe each other."""

    seed: int = 0
    minutes: float = 0.0
    only: tuple[str, ...] = ()
    pods: tuple[PodState, ...] = ()


async def run(order: Order) -> Run:
    """Make the faults of a run one after the other, and return its record."""
    cluster = await cluster_within(NODES, order.pods)
    began = time.monotonic()
    probes, churn = Probes(cluster, began), Churn(cluster, order.seed)
    sync = Sync(cluster, churn, probes)
    await probes.start()
    churn.start()
    await asyncio.sleep(WARM_UP_SECONDS)
    trouble = await sync.wait(time.monotonic())
    made: list[Window] = []
    for fault in () if trouble else schedule(order.seed, order.minutes, order.only):
        await asyncio.sleep(QUIET_SECONDS)
        window = await _make(cluster, sync, fault, began)
        pairs = await probes.read(began + window.began)
        made.append(window)
        _show(Run(order.seed, order.minutes, 0.0, windows=tuple(made), pairs=pairs))
        if window.trouble:  # the next fault would be blamed for what this one has left
            break
    stuck = await churn.stop()
    refused = [why for node in cluster.nodes if (why := await _collect(cluster, node))]
    left = (*refused, *await leaks(cluster))
    violated = await sync.violated()
    await asyncio.sleep(LAST_LOOK_SECONDS)
    pairs = await probes.read(time.monotonic())
    texts = logs(cluster)
    for name, text in texts.items():
        emit({"log": name, "text": text})
    return Run(
        order.seed,
        order.minutes,
        time.monotonic() - began,
        trouble,
        tuple(made),
        pairs,
        operations=churn.operations,
        refusals=tuple(f"{count} × {text}" for text, count in churn.refusals.most_common()),
        leaks=(*stuck, *left),
        checked=sync.checked,
        violated=tuple(violated),
        tracebacks=tuple(tracebacks(texts)),
    )


async def _collect(cluster: Cluster, node: str) -> str:
    """Have a node's plugins take back what belongs to no pod; return why they did not."""
    try:
        await cluster.ask("gc", node=node)
    except HostError as error:
        return f"{node}: {error}"
    return ""


async def _make(cluster: Cluster, sync: Sync, fault: Fault, run_began: float) -> Window:
    """Make one fault and wait until all is in sync again."""
    began, did, trouble = time.monotonic(), "", ""
    undone = began
    try:
        async with MAKERS[fault.kind](cluster, fault) as did:
            undone = time.monotonic()
            await asyncio.sleep(fault.seconds)
        undone = time.monotonic() if fault.seconds else undone
    except (FaultError, HostError) as error:
        trouble = f"it could not be made: {error}"
    trouble = trouble or await sync.wait(undone)
    ended = time.monotonic()
    return Window(fault, began - run_began, undone - run_began, ended - run_began, did, trouble)


def _show(so_far: Run) -> None:
    """Tell of the last window."""
    window, pairs = so_far.windows[-1], losses(so_far)[-2]
    emit({"line": line(window, pairs)})
    for text in details(window, pairs):
        emit({"line": text})


def main(words: Sequence[str]) -> int:
    order = from_json(Order, json.loads(sys.stdin.readline()))
    enter(int(words[0]), NEWUSER | NEWNS | NEWNET | NEWUTS | NEWIPC | NEWPID)
    # Only a child is a member of the PID namespace, and nobody else may start threads now.
    child = os.fork()
    try:
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF
        emit({"run": to_json(asyncio.run(run(order)))})
    except KeyboardInterrupt:  # the command outside has heard of it too, and says so
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
