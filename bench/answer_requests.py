"""How many requests an ADD on Kubernetes waits for: those sent until it is answered. A part of `bench.kube`.

The agent reaches the API server through a proxy that lists what it passes on (tests/kube/faulty_proxy.py), and each ADD
begins when the agent has been silent for a while, so that nothing of the one before is counted.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cni import agent, alone, files
from bench.kube_cni import ACCOUNT, ALONE, Pods
from bench.result import Row, figure
from datastore.kube.access import read_access
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy

SILENT_SECONDS = 0.3  # what follows an answer is sent in a lull of 20 ms


def row(bed: Bed, rounds: int, calls: int = ALONE) -> Row:
    """Return the row: the mean of each round. The node and its agent's rights are there (`kube_cni.furnish`)."""
    made, found = Pods(bed), []
    with TemporaryDirectory(prefix="felix-bench-") as name, _proxy(bed, Path(name)) as proxy:
        url = f"kubernetes://{proxy.kubeconfig}"
        with agent(Path(name), url) as ours, files(ours) as ready_made:
            for number in range(rounds + 1):
                with made.scheduled(calls) as ready:
                    counts = []
                    for pod in ready:
                        before = _silent(proxy)
                        alone(ours, "ADD", [pod], *ready_made)
                        counts.append(_passed_on(proxy) - before)
                    alone(ours, "DEL", ready, *ready_made)
                if number:  # the round before the first claims a block
                    found.append(sum(counts) / calls)
    return figure("requests before the answer of one ADD", found, "")


def _silent(proxy: FaultyProxy) -> int:
    """Return how many requests were passed on, once none has come for a while."""
    count = _passed_on(proxy)
    while True:
        time.sleep(SILENT_SECONDS)
        before, count = count, _passed_on(proxy)
        if count == before:
            return count


def _passed_on(proxy: FaultyProxy) -> int:
    """Return how many requests were passed on but for watches, which are renewed by the clock."""
    return sum("watch=1" not in request for request in tuple(proxy.requests))


@contextmanager
def _proxy(bed: Bed, folder: Path) -> Iterator[FaultyProxy]:
    """Run a proxy for the agent's account, in a thread with a loop of its own."""
    begun: Future[tuple[FaultyProxy, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    access = read_access(str(bed.control_plane.kubeconfig_of(ACCOUNT)))

    async def serve() -> None:
        async with faulty_proxy(access, folder) as proxy:
            ends = asyncio.Event()
            begun.set_result((proxy, asyncio.get_running_loop(), ends))
            await ends.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    proxy, loop, ends = begun.result(timeout=SILENT_SECONDS * 100)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join()
