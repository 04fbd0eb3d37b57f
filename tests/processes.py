"""What this process, or another one, has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from lab.paths import TREE


def children() -> set[str]:
    """Return the numbers of the processes that this one has started and that have not been waited for."""
    return {number for task in Path("/proc/self/task").iterdir() for number in (task / "children").read_text().split()}


def that_know(folder: Path) -> list[str]:
    """Return the commands of all processes that still run and whose environment names this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def tool(*words: str, folder: Path | None = None) -> subprocess.Popen[str]:
    """Start a tool of the tree in a process group of its own. folder: where its temporary files go."""
    temporary = {"TMPDIR": str(folder)} if folder else {}
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=TREE,
        env=os.environ | temporary,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupt(command: subprocess.Popen[str], *, all_of_it: bool) -> str:
    """End a command, and return what it said on standard error. all_of_it: as Ctrl-C does; else itself, by SIGTERM."""
    if all_of_it:
        os.killpg(command.pid, signal.SIGINT)
    else:
        command.terminate()
    return command.communicate(timeout=60)[1]
