"""A real BIRD 2 as a peer: started in the foreground, asked over its control socket."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.bird import BirdSession, established_line, protocol_name, render
from tests.bgp.fabric import AS

Run = Callable[..., "subprocess.Popen[bytes]"]


class Bird:
    """One BIRD at `own`, with a session to each of `peers`; `command` prefixes put it into a namespace."""

    def __init__(
        self, directory: Path, own: str, peers: Sequence[str], *, into: Sequence[str] = (), own_as: int = AS
    ) -> None:
        self._own, self._peers, self._into, self._as = own, peers, into, own_as
        self._conf = directory / f"bird-{own}.conf"
        self._control = directory / f"bird-{own}.ctl"
        self._log = directory / f"bird-{own}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *announced: str, recover: bool = False) -> None:
        """`recover` is how a Calico node starts it: graceful restart recovery, whatever was before."""
        self._configure(announced)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._into, "bird", "-f", *(["-R"] if recover else []), "-c", self._conf, "-s", self._control],
                stdout=log,
                stderr=log,
            )

    def announce(self, *announced: str) -> None:
        self._configure(announced)
        self.ask("configure")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """End in order: the peers get a NOTIFICATION."""
        self._end(signal.SIGTERM)

    def ask(self, *words: str) -> str:
        return subprocess.run(
            ["birdc", "-r" if words[0] == "show" else "-v", "-s", self._control, *words],
            capture_output=True,
            text=True,
            timeout=20,
        ).stdout

    def routes(self) -> dict[str, int]:
        """Return what it learned, with the MED of each route, 0 where there is none."""
        found: dict[str, int] = {}
        prefix = ""
        for line in self.ask("show", "route", "all", "where", "source", "=", "RTS_BGP").splitlines():
            if match := re.match(r"(?:1007-)?(\d+\.\d+\.\d+\.\d+/\d+)\s", line):
                prefix = match[1]
                found[prefix] = 0
            elif match := re.search(r"BGP\.med: (\d+)", line):
                found[prefix] = int(match[1])
        return found

    def recovering(self) -> bool:
        return "recovery in progress" in self.ask("show", "status")

    def established(self, peer: str) -> bool:
        printed = self.ask("show", "protocols", protocol_name(peer))
        return any(map(established_line, printed.splitlines()))

    def _end(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait()

    def _configure(self, announced: Sequence[str]) -> None:
        sessions = [
            BirdSession(
                peer,
                "ipv4",
                local=self._own,
                local_as=self._as,
                neighbour=peer,
                neighbour_as=AS,
                options=f"multihop; strict bind on; {'passive on; ' if peer > self._own else ''}connect delay time 1; "
                "connect retry time 2; error wait time 1, 2; hold time 90; graceful restart time 60;",
                channel="add paths on;",
            )
            for peer in self._peers
        ]
        self._conf.write_text(render(self._own, {"ipv4": announced}, sessions, kernel=False))
