"""One node's namespaces as seen from the supervisor: where its files are, and how a process is started in it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from lab.namespaces import SEARCH_PATH

ROUTER = "router"  # joins the subnets
LAB_VARIABLE = "FELIX_LAB"  # in the environment of all that a lab starts


class NodeNamespace(Struct, frozen=True):
    """A node, speaker or router. pid: the process that holds its namespaces."""

    name: str
    pid: int

    def path(self, path: str) -> Path:
        """Return where the supervisor finds the node's own file `path`."""
        return Path(f"/proc/{self.pid}/root{path}")

    def inside(self, *command: str) -> list[str]:
        """Return the command line that runs `command` in this node. The started process becomes the command."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--uts", "--", *command]

    async def start(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        stdin: int | None = asyncio.subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = asyncio.subprocess.PIPE,
        stderr: int | IO[bytes] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start `command` in this node with only `environment` and a search path of system folders."""
        return await asyncio.create_subprocess_exec(
            *self.inside(*command),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={
                LAB_VARIABLE: self.name,
                "PATH": SEARCH_PATH,
                "LANG": "C.UTF-8",
                "HOME": "/root",
                **(environment or {}),
            },
            start_new_session=True,
        )

    async def run(
        self, *command: str, environment: Mapping[str, str] | None = None, feed: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        """Run `command` to its end; return its exit status and what it printed on both streams."""
        process = await self.start(
            *command, environment=environment, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        printed, errors = await process.communicate(feed)
        assert process.returncode is not None
        return process.returncode, printed, errors

    async def get(self, socket_path: str, page: str) -> Any:
        """Return the JSON that the agent of this node serves as `page` on its unix socket.

        Raises OSError or ValueError: the agent does not listen yet, or the answer is not JSON.
        """
        reader, writer = await asyncio.open_unix_connection(self.path(socket_path))
        try:
            writer.write(f"GET {page} HTTP/1.0\r\nHost: {self.name}\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise ValueError(f"GET {page} of {self.name}: {head.partition(bytes((13,)))[0].decode()}")
        return json.loads(body)


def kill(pid: int, number: int) -> bool:
    """Send a signal; False if the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def tail(path: Path, lines: int) -> Sequence[str]:
    """Return the last lines of a log, nothing if there is none."""
    try:
        return path.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
