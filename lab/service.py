"""One program that is kept running in a node, as a kubelet keeps a container: ended, it is started again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path

from lab.node_namespace import NodeNamespace, kill, tail

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
STEADY_SECONDS = 10.0


class Service:
    """A program of one node; its output goes to /var/log/NAME.log there."""

    def __init__(
        self, namespace: NodeNamespace, name: str, command: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        self.namespace, self.name = namespace, name
        self.ended = 0
        self._command, self._environment = command, environment
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_running(), name=f"{self.name} on {self.namespace.name}")

    async def stop(self) -> None:
        """End the program for good, by SIGTERM."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._process and self._process.returncode is None:
            kill(self._process.pid, signal.SIGTERM)
            await self._process.wait()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> bool:
        """Send a signal, else end the program at once; it is started again. False if it is not running just now."""
        process = self._process
        return process is not None and process.returncode is None and kill(process.pid, number)

    @property
    def log(self) -> Path:
        return self.namespace.path(f"/var/log/{self.name}.log")

    @property
    def trouble(self) -> str:
        """How often it has ended, and the last line of its log, as a sentence."""
        times = "once" if self.ended == 1 else f"{self.ended} times"
        return f"{self.name} on {self.namespace.name} ended {times}; the last line of its log: {self._last_log_line()}"

    def _last_log_line(self) -> str:
        lines = [line for line in tail(self.log, 5) if line.strip()]
        return lines[-1] if lines else "it is empty"

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = asyncio.get_running_loop().time()
            with self.log.open("ab") as log:
                self._process = await self.namespace.start(
                    *self._command, environment=self._environment, stdout=log, stderr=log
                )
            await self._process.wait()
            self.ended += 1
            if asyncio.get_running_loop().time() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
