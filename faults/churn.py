"""Pods that come and go all the time, through the plugin, as a container runtime attaches and detaches them.

An edge. What the plugin says to try again later is tried again, as a kubelet does.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping
from random import Random

from faults.cluster import Cluster
from lab.host import HostError
from lab.runtime import TRY_AGAIN

PODS = 4  # of each node at most
PAUSE_SECONDS = (0.1, 0.5)
LAST_SECONDS = 30.0
_CODE = re.compile(r"\(code (\d+)\)")


class Churn:
    """Pods of each node, in an order that follows from the seed.

    operations: how many ADDs and DELs succeeded. added_at: when an ADD last began that succeeded, by node.
    refusals: what else the plugin answered but for code 11, and how often.
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster, self._seed = cluster, seed
        self._attached: dict[str, set[str]] = {node: set() for node in cluster.nodes}
        self._tasks: list[asyncio.Task[None]] = []
        self._ends = asyncio.Event()
        self.operations = 0
        self.added_at: Mapping[str, float] = dict.fromkeys(cluster.nodes, 0.0)
        self.refusals: Counter[str] = Counter()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._on(node), name=f"pods of {node}") for node in self._cluster.nodes]

    async def stop(self) -> tuple[str, ...]:
        """Detach all; return a sentence for each pod that could not be detached."""
        self._ends.set()
        await asyncio.gather(*self._tasks)
        deadline = time.monotonic() + LAST_SECONDS
        while any(self._attached.values()) and time.monotonic() < deadline:
            for node, pods in self._attached.items():
                for pod in sorted(pods):
                    await self._step("pod del", node, pod)
        return tuple(
            f"pod {pod} of {node} could not be deleted" for node, pods in self._attached.items() for pod in pods
        )

    async def _on(self, node: str) -> None:
        random = Random(f"{self._seed} {node}")
        while not self._ends.is_set():
            pod = f"{node}-c{random.randrange(PODS)}"
            await self._step("pod del" if pod in self._attached[node] else "pod add", node, pod)
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))

    async def _step(self, verb: str, node: str, pod: str) -> None:
        began = time.monotonic()
        try:
            await self._cluster.ask(verb, node=node, pod=pod)
        except HostError as error:
            if _code(str(error)) != TRY_AGAIN:
                self.refusals[str(error).replace(pod, f"{node}-c")] += 1
            return
        self.operations += 1
        if verb == "pod add":
            self._attached[node].add(pod)
            self.added_at = {**self.added_at, node: began}
        else:
            self._attached[node].remove(pod)


def _code(error: str) -> int:
    """Return the CNI error code that a sentence of the lab ends in; 0 if it has none."""
    found = _CODE.findall(error)
    return int(found[-1]) if found else 0
