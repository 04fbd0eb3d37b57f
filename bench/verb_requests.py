"""How many requests an ADD and a DEL on Kubernetes cost, and how many an ADD waits for. A part of `bench.kube`.

The agent reaches the API server through a proxy that lists what it passes on (tests/kube/faulty_proxy.py). Each verb
begins when the agent has been silent for a while, and has what follows its answer counted until it is silent again: so
nothing of one is counted for the other.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cni import VERBS, Plugin, PodNetns, agent, alone, files
from bench.kube_cni import ACCOUNT, Pods
from bench.result import Row, figure
from datastore.kube.access import read_access
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy

SILENT_SECONDS = 0.3  # what follows an answer is sent in a lull of 20 ms
CALLS = 10
_IN_A_GROUP = re.compile(r"^/(api/\w+|apis/[^/]+/\w+)/(namespaces/[^/]+/)?")


def measure(bed: Bed, rounds: int, calls: int = CALLS) -> tuple[list[Row], list[str]]:
    """Return the rows, of each round the mean, and remarks. The node and its agent's rights are there."""
    made, before_answer = Pods(bed), list[float]()
    asked: dict[str, list[Counter[str]]] = {verb: [] for verb in VERBS}
    with TemporaryDirectory(prefix="felix-bench-") as name, _proxy(bed, Path(name)) as proxy:
        url = f"kubernetes://{proxy.kubeconfig}"
        with agent(Path(name), url) as ours, files(ours) as ready_made:
            for number in range(rounds + 1):
                with made.scheduled(calls) as ready:
                    answered, added = zip(*(_alone(proxy, ours, "ADD", pod, ready_made) for pod in ready), strict=True)
                    _, deleted = zip(*(_alone(proxy, ours, "DEL", pod, ready_made) for pod in ready), strict=True)
                if number:  # the round before the first claims a block
                    before_answer.append(sum(answered) / calls)
                    asked["ADD"].append(sum(added, Counter()))
                    asked["DEL"].append(sum(deleted, Counter()))
    rows = [figure(f"requests for one {verb}", [one.total() / calls for one in asked[verb]], "") for verb in VERBS]
    remarks = [_remark(verb, sum(asked[verb], Counter()), rounds * calls) for verb in VERBS]
    return [*rows, figure("requests before the answer of one ADD", before_answer, "")], remarks


def _alone(
    proxy: FaultyProxy, plugin: Plugin, verb: str, pod: PodNetns, ready_made: tuple[int, int]
) -> tuple[int, Counter[str]]:
    """Carry out one verb; return how many requests were sent before its answer, and all that it made, by kind."""
    before = len(_passed_on_when_silent(proxy))
    alone(plugin, verb, [pod], *ready_made)
    answered = len(_passed_on(proxy))
    return answered - before, Counter(map(kind_of, _passed_on_when_silent(proxy)[before:]))


def _passed_on_when_silent(proxy: FaultyProxy) -> Sequence[str]:
    """Return the requests that were passed on, once none has come for a while."""
    seen = _passed_on(proxy)
    while True:
        time.sleep(SILENT_SECONDS)
        before, seen = seen, _passed_on(proxy)
        if len(seen) == len(before):
            return seen


def _passed_on(proxy: FaultyProxy) -> Sequence[str]:
    """Return the requests that were passed on but for watches, which are renewed by the clock."""
    return [request for request in tuple(proxy.requests) if "watch=1" not in request]


def kind_of(request: str) -> str:
    """Return a request's method with the kind that it is about: `PUT /apis/a/v1/ipamblocks/b` is `PUT ipamblocks`."""
    method, path = request.split(" ")[:2]
    kind, *name_and_part = _IN_A_GROUP.sub("", path.partition("?")[0]).split("/")
    return f"{method} {'/'.join([kind, *name_and_part[1:]])}"


def _remark(verb: str, counted: Counter[str], calls: int) -> str:
    each = ", ".join(f"{count / calls:.2f} {kind}" for kind, count in sorted(counted.items()))
    return f"requests of one {verb} alone: {counted.total() / calls:.2f} ({each})"


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
