"""A real lab as a fixture: up before the test, and ended with everything in it afterwards, whatever the test did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from felix_py.status.status_json import to_json
from lab.host import RunningLab, start
from lab.timescale import TIMESCALE

PATIENCE_SECONDS = 60.0 * TIMESCALE
LONGEST_STEP_SECONDS = 0.5 * TIMESCALE


class Refused(Exception):
    """The lab could not do what was asked; the message is its reason."""


class Lab:
    """A lab that is up, by its control socket and by the commands that a user has."""

    def __init__(self, running: RunningLab, report: dict[str, Any]) -> None:
        self.running, self.report = running, report
        self.nodes = [node["name"] for node in report["nodes"]]
        self._proxy = start_proxy(running)

    def for_another_thread(self) -> Lab:
        """Return the same lab over a proxy of its own, since answers come in order. End it with `disconnect`."""
        return Lab(self.running, self.report)

    def ask(self, verb: str, **request: Any) -> Any:
        """Put one request to the lab. Raises Refused."""
        return self._request({"verb": verb, **request})

    def run(self, place: str, *command: str, check: bool = True) -> str:
        """Run a command in a node or pod and return its standard output."""
        done = self._request({"run": command, "place": place})
        assert not check or done["status"] == 0, f"{command} on {place}: {done['out']}{done['err']}"
        return str(done["out"])

    def page(self, node: str, name: str) -> dict[str, Any]:
        """Return a page of a node's agent as JSON; empty while the agent does not answer."""
        return dict(self._request({"page": name, "place": node}))

    def _request(self, request: dict[str, Any]) -> Any:
        assert self._proxy.stdin and self._proxy.stdout
        print(json.dumps(request), file=self._proxy.stdin, flush=True)
        answer = json.loads(self._proxy.stdout.readline())
        if "failed" in answer:
            raise Refused(answer["failed"])
        return answer["answer"]

    def routes(self, node: str, *words: str) -> str:
        return self.run(node, "ip", "route", "show", *words)

    def settled(self) -> bool:
        """True if every agent is ready, all its sessions are up, and no invariant is violated."""
        return not self.unsettled()

    def unsettled(self) -> list[str]:
        """Return what keeps the lab from being settled."""
        if found := self.unready():
            return found
        violated = {node: self.page(node, "invariants").get("violated", "no answer") for node in self.nodes}
        return [f"{node}: violated: {what}" for node, what in violated.items() if what]

    def unready(self) -> list[str]:
        """Return the agents that are not ready, or not with all their sessions up."""
        found: list[str] = []
        for node in self.nodes:
            status = self.page(node, "status")
            peers = [peer["state"] for peer in status.get("peers", ())]
            if not status.get("ready") or peers != ["up"] * (len(self.nodes) - 1):
                found.append(f"{node}: {json.dumps(status)[:3000]}")
        return found

    def wait_until_settled(self, after: str) -> None:
        try:
            until(self.settled, f"the lab has settled after {after}")
        except AssertionError as late:
            raise AssertionError(f"{late}; {'; '.join(self.unsettled()) or 'it has now'}") from None

    def lost_pings(self) -> list[str]:
        """Have every pod ping every other; return the pairs that failed."""
        matrix = self.ask("matrix")
        return [f"{a} to {b}" for a in matrix for b in matrix if a != b and b not in matrix[a]]

    def disconnect(self) -> None:
        self._proxy.kill()
        self._proxy.wait()

    def end(self) -> None:
        self.disconnect()
        self.running.end()


def start_proxy(running: RunningLab) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.scenarios.lab_proxy", str(running.init_pid)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS, step: float = 0.05) -> None:
    """Wait for a condition; after `seconds` the test fails.

    Between two looks lie `step` seconds, and as long as a look took up to LONGEST_STEP_SECONDS: what a look costs is
    taken from what is waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if holds():
            return
        now = time.monotonic()
        assert now < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(max(step, min(now - began, LONGEST_STEP_SECONDS)))


@contextmanager
def lab_of(spec: dict[str, Any], folder: Path, *, give_up_seconds: float = PATIENCE_SECONDS) -> Iterator[Lab]:
    """Bring up a lab from a spec (without a name: it gets one of its own); end it."""
    file = folder / "lab.yaml"
    file.write_text(yaml.safe_dump({"name": f"t{os.getpid()}-{abs(hash(folder)) % 10000}", **spec}))
    running, state = start(file, lambda what, done, wanted: None, stays=True, give_up_seconds=give_up_seconds)
    lab = Lab(running, to_json(state))
    try:
        yield lab
    finally:
        lab.end()


def three_nodes(pods: int = 1, **settings: str) -> dict[str, Any]:
    """Return a spec: n1, n2, n3 on one subnet. `settings` go into every agent's environment."""
    return {
        "subnets": [{"name": "rack1", "ipv4": "192.0.2.0/24"}],
        "nodes": [{"name": name, "subnet": "rack1", **({"settings": settings} if settings else {})} for name in NAMES],
        "pods": pods,
        "pools": [{"name": "pods", "cidr": "10.65.0.0/16", "natOutgoing": False}],
    }


NAMES = ("n1", "n2", "n3")
