"""One program that is kept running in a node, as a kubelet keeps a container: ended, it is started again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path

from lab.node_namespace import Place, kill, tail

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
STEADY_SECONDS = 10.0


class Service:
    """A program of one node; its output goes to /var/log/NAME.log there."""

    def __init__(self, place: Place, name: str, command: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.place, self.name = place, name
        self.ended = 0
        self._command, self._environment = command, environment
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_running(), name=f"{self.name} on {self.place.name}")

    async def stop(self) -> None:
        """End the program for good, by SIGTERM."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._process and self._process.returncode is None:
            kill(self._process.pid, signal.SIGTERM)
            await self._process.wait()

    def kill(self) -> bool:
        """End the program at once; it comes back. False if it is not running just now."""
        process = self._process
        return process is not None and process.returncode is None and kill(process.pid, signal.SIGKILL)

    @property
    def log(self) -> Path:
        return self.place.path(f"/var/log/{self.name}.log")

    def last_words(self) -> str:
        """Return the last line it wrote, or that there is none."""
        lines = [line for line in tail(self.log, 5) if line.strip()]
        return lines[-1] if lines else "it wrote nothing"

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = asyncio.get_running_loop().time()
            with self.log.open("ab") as log:
                self._process = await self.place.start(
                    *self._command, environment=self._environment, stdout=log, stderr=log
                )
            await self._process.wait()
            self.ended += 1
            if asyncio.get_running_loop().time() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
