"""Probes between pods, 100 a second, which count what each fault costs.

An edge: the pods' own processes send them (lab/pod.py), each to the next pod of another node.
"""

from __future__ import annotations

import time

from msgspec import Struct

from faults.cluster import Cluster
from faults.record import Pair
from felix_py.status.status_json import from_json
from lab.state_model import StreamReport

PER_SECOND = 100
FLOW_SECONDS = 0.3  # for so long every probe has been answered when probes flow
ON_ITS_WAY_SECONDS = 0.05


class _Streams(Struct, frozen=True):
    streams: tuple[StreamReport, ...] = ()


class Probes:
    """What each pair has lost so far. began: when the run began, by the monotonic clock."""

    def __init__(self, cluster: Cluster, began: float) -> None:
        self._cluster, self._began = cluster, began
        self._streams: dict[tuple[str, str], StreamReport] = {}
        self._read_from = began

    async def start(self) -> None:
        await self._cluster.ask("traffic start", per_second=PER_SECOND)

    async def why_not_flowing(self) -> str:
        """Return which pair does not flow; nothing if all do."""
        now = time.monotonic()
        for stream in await self._report(now - FLOW_SECONDS - ON_ITS_WAY_SECONDS):
            if any(sent < now - ON_ITS_WAY_SECONDS for sent in stream.unanswered):
                return f"probes from {stream.source} to {stream.target} are lost"
        return ""

    async def read(self, next_from: float) -> tuple[Pair, ...]:
        """Return what is lost so far, but for what may be on its way.

        The next reading looks again at what was sent since `next_from`: a packet may be held back for a second while a
        neighbour's hardware address is looked for.
        """
        until = time.monotonic() - ON_ITS_WAY_SECONDS
        for stream in await self._report(self._read_from):
            key = stream.source, stream.target
            known = self._streams.get(key, StreamReport(*key)).unanswered
            kept = (sent for sent in known if sent < self._read_from)
            lost = (sent for sent in stream.unanswered if sent < until)
            self._streams[key] = StreamReport(*key, stream.sent, (*kept, *lost))
        self._read_from = next_from
        return tuple(
            Pair(stream.source, stream.target, stream.sent, tuple(sent - self._began for sent in stream.unanswered))
            for stream in self._streams.values()
        )

    async def _report(self, since: float) -> tuple[StreamReport, ...]:
        report = await self._cluster.ask("traffic report", since=since)
        return from_json(_Streams, {"streams": report}).streams
