"""The two pipes to the sidecar, which ExaBGP uses in place of a child's that it would have started."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement


def replacements(commands: int, events: int) -> list[Replacement]:
    from exabgp.reactor.api.processes import Processes

    return [ReplacedFunction(Processes, "_start", ("self", "process"), use_pipes(commands, events))]


class LinesOfATurn:
    """The pipe that events and answers are written to. What one turn of the loop says is written at once, at its end.

    As released each line is a write of its own, and wakes its reader.
    """

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "wb", buffering=0)
        self._lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self._lines.append(line)

    def flush(self) -> None:
        """ExaBGP's, after each line."""

    def send(self) -> None:
        """Write all of it; wait while the pipe is full. Raises OSError: nobody reads it any more."""
        left = memoryview(b"".join(self._lines))
        self._lines.clear()
        while left:
            left = left[self._pipe.write(left) :]


class InheritedPipes:
    """Our two pipe ends, where ExaBGP expects the child it would have started."""

    def __init__(self, commands: int, events: int, orderly: Callable[[], bool]) -> None:
        os.set_blocking(commands, False)
        self.stdout = os.fdopen(commands, "rb", buffering=0)
        self.stdin = LinesOfATurn(events)
        self._orderly = orderly

    def poll(self) -> None:
        """A child's exit status; ours never is one: that the sidecar is gone shows by the end of its pipe."""

    def terminate(self) -> None:
        self.stdin.send()
        if not self._orderly():
            os.kill(os.getpid(), signal.SIGTERM)

    def wait(self, timeout: float | None = None) -> int:
        return 0

    def kill(self) -> None:
        self.terminate()


def use_pipes(commands: int, events: int) -> Callable[[Any, str], None]:
    """Return Processes._start that uses the inherited descriptors in place of a child."""
    from exabgp.reactor.api.response import Response
    from exabgp.version import json as json_version

    def start(processes: Any, process: str) -> None:
        if process in processes._process or process not in processes._configuration:
            return
        processes._encoder[process] = Response.JSON(json_version)
        processes._ackjson[process] = False
        processes._ack[process] = True
        processes._restart[process] = False
        processes._process[process] = InheritedPipes(commands, events, lambda: processes.silence)
        processes._update_fds()

    return start
