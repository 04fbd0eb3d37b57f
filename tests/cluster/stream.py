"""A pod that pings another at a steady pace, whatever happens to the cluster meanwhile, and counts what is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.state_model import PingCount, PodState
from tests.cluster.kubectl import Kubectl

PER_SECOND = 100
_LOG, _PID = "/tmp/stream.log", "/tmp/stream.pid"
_NUMBER = re.compile(r"seq=(\d+)")
_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) packets received")


@dataclass
class Stream:
    """count: what became of it, once it has ended."""

    count: PingCount = field(default_factory=PingCount)


@contextmanager
def streaming(kubectl: Kubectl, pod: PodState, address: str) -> Iterator[Stream]:
    """Have a pod ping an address meanwhile. It needs the API server for its beginning and its end only."""
    ping = f"ping -i {1 / PER_SECOND} {address} >{_LOG} 2>&1 & echo $! >{_PID}"
    kubectl("exec", pod.name, "--", "sh", "-c", ping)
    stream = Stream()
    yield stream
    end = f"kill -STOP $(cat {_PID}); sleep 1; kill -INT $(cat {_PID}); kill -CONT $(cat {_PID}); sleep 0.5"
    said = kubectl("exec", pod.name, "--", "sh", "-c", f"{end}; tail -n 5 {_LOG}")
    stream.count = _count(said)


def _count(said: str) -> PingCount:
    """Return what the end of ping's output says. The very last packet, on its way when it ended, is not lost."""
    summary, numbers = _SUMMARY.search(said), _NUMBER.findall(said)
    assert summary and numbers, f"ping was not answered at its end: {said}"
    sent, received = map(int, summary.groups())
    on_its_way = int(numbers[-1]) == sent - 2
    return PingCount(sent, sent - received - on_its_way)
