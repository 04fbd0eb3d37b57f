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
_COUNTERS = "grep ^Icmp: /proc/net/snmp"
_SUMMARY = re.compile(r"\d+ packets transmitted, \d+ packets received, (?:(\d+) duplicates, )?")


@dataclass
class Stream:
    """count: what became of it, once it has ended. said: what it and its kernel said at its end."""

    count: PingCount = field(default_factory=PingCount)
    said: str = ""


@contextmanager
def streaming(kubectl: Kubectl, pod: PodState, address: str) -> Iterator[Stream]:
    """Have a pod ping an address of IPv4 meanwhile, and nothing else. Its beginning and end need the API server.

    What its kernel has sent and heard is counted: on a busy machine ping is late, and hears of a fifth of a second at
    most, and one that is ended between counting a ping and sending it has counted too many; it ends by itself where one
    can't be sent. But only ping knows which answers came twice.
    """
    ping = f"{_COUNTERS}; ping -i {1 / PER_SECOND} {address} >{_LOG} 2>&1 & echo $! >{_PID}"
    before = kubectl("exec", pod.name, "--", "sh", "-c", ping)
    stream = Stream()
    yield stream
    end = f"kill -STOP $(cat {_PID}); sleep 1; kill -INT $(cat {_PID}); kill -CONT $(cat {_PID}); sleep 1"
    said = kubectl("exec", pod.name, "--", "sh", "-c", f"{end}; tail -n 5 {_LOG}; {_COUNTERS}")
    stream.count, stream.said = counted(before, said), before + said


def counted(before: str, said: str) -> PingCount:
    """Return what became of all pings. before: the kernel's counters then; said: ping's last lines, and these counters.

    An answer that came twice makes good no ping that was lost.
    """
    summary = _SUMMARY.search(said)
    assert summary, f"ping did not end: {said}"
    sent, answers = (_counter(said, name) - _counter(before, name) for name in ("OutEchos", "InEchoReps"))
    return PingCount(sent, sent - (answers - int(summary[1] or 0)))


def _counter(said: str, name: str) -> int:
    """Return one of a kernel's counters of ICMP: `OutEchos` are pings that it sent, `InEchoReps` answers to them."""
    names, values = (line.split() for line in said.splitlines() if line.startswith("Icmp:"))
    return int(values[names.index(name)])
