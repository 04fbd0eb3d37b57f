"""How soon a new block is in the kernel of the last of twenty nodes. A part of `bench.mesh`.

A lab of twenty nodes with agents, sidecars and ExaBGP in a full mesh; blocks have one address, so that each new pod
takes one. The clock runs from the pod's own route on its node, which stands before the ADD is answered, until the
kernel of the last other node has reported the block's route. All share this machine's processors.

`python -m bench.new_block FIRST_PROCESS NODES COUNT` is the process that looks, inside the namespaces of the lab.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from threading import Thread
from typing import Any

from bench.fib import ROUTE_GROUPS
from bench.patience import PATIENCE_SECONDS
from bench.result import Row, figure
from kernel.events import KernelEvent, RouteChanged, decode_events
from kernel.netlink import NetlinkSocket
from kernel.route import UNICAST
from lab.host import ask_within, start
from lab.namespaces import NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER, NEWUTS, enter, network_of
from net.prefix import Prefix

SPEC = Path(__file__).with_name("twenty-nodes.yaml")
NODES, IN_A_ROUND = 20, 20
LOCAL, LEARNED = 80, 81


def rows(rounds: int, spec: Path = SPEC, nodes: int = NODES, count: int = IN_A_ROUND) -> Iterator[Row]:
    lab, _ = start(spec, lambda what, done, wanted: None, stays=False, give_up_seconds=PATIENCE_SECONDS)
    try:
        words = (str(lab.init_pid), str(nodes), str(rounds * count))
        ran = subprocess.run([sys.executable, "-m", "bench.new_block", *words], stdout=subprocess.PIPE, check=True)
    finally:
        lab.end()
    found: list[float] = json.loads(ran.stdout)
    in_rounds = [quantiles(found[n : n + count], n=100, method="inclusive") for n in range(0, len(found), count)]
    for which in (50, 99):
        name = f"new block in the FIB of the last of {nodes} nodes, p{which}"
        yield figure(name, [each[which - 1] for each in in_rounds], "ms")


class Kernels:
    """The routes that the nodes' kernels report, and when, by prefix; learned has a moment for each node."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        """nodes: a process in the namespaces of each."""
        self._nodes: dict[int, tuple[str, NetlinkSocket]] = {}
        self._poll = select.poll()
        for name, pid in nodes.items():
            with network_of(pid):
                netlink = NetlinkSocket(groups=ROUTE_GROUPS[4])
            self._nodes[netlink.socket.fileno()] = name, netlink
            self._poll.register(netlink.socket, select.POLLIN)
        self.own: dict[Prefix, float] = {}
        self.learned: dict[Prefix, dict[str, float]] = defaultdict(dict)

    def look(self, milliseconds: int) -> None:
        """Wait so long at most for what is reported, and take it in."""
        for descriptor, _ in self._poll.poll(milliseconds):
            name, netlink = self._nodes[descriptor]
            found: list[KernelEvent] = []
            decode_events(netlink.socket.recv(1 << 16), (), found)
            now = time.perf_counter()
            for event in found:
                if isinstance(event, RouteChanged) and not event.gone and event.spec.kind == UNICAST:
                    if event.spec.protocol == LOCAL:
                        self.own.setdefault(event.prefix, now)
                    elif event.spec.protocol == LEARNED:
                        self.learned[event.prefix].setdefault(name, now)


def delays(nodes: int, count: int) -> list[float]:
    """Attach pods one after the other, and return the milliseconds until the last node had each one's block."""
    names = [f"n{number + 1}" for number in range(nodes)]
    kernels = Kernels({name: ask_within({"verb": "namespace_pid", "node": name}) for name in names})
    found = []
    for number in range(count):
        request: dict[str, Any] = {"verb": "pod add", "node": names[number % nodes], "pod": f"new-{number}"}
        known = set(kernels.own)
        attaching = Thread(target=ask_within, args=(request,))
        attaching.start()
        found.append(1e3 * _delay(kernels, known, nodes - 1))
        attaching.join()
    return found


def _delay(kernels: Kernels, known: set[Prefix], others: int) -> float:
    """Return the seconds from the next new pod's route until the last of the others has its block; 0 if it had."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while time.perf_counter() < deadline:
        kernels.look(100)
        for prefix in kernels.own.keys() - known:
            if len(there := kernels.learned[prefix]) == others:
                return max(0.0, max(there.values()) - kernels.own[prefix])
    raise SystemExit(f"a new block was not on all other nodes within {PATIENCE_SECONDS} s")


def main(words: Sequence[str]) -> int:
    first, nodes, count = map(int, words)
    enter(first, NEWUSER | NEWNS | NEWNET | NEWUTS | NEWIPC | NEWPID)
    child = os.fork()  # only a child is a member of the PID namespace
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF
    print(json.dumps(delays(nodes, count)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
