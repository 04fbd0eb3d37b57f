"""One agent on a node: the lock that each holds while it runs. Edge."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from felix_py.identity import StartupError


@contextmanager
def single_instance(run_dir: Path, trying: str = "start the agent") -> Iterator[None]:
    """Hold the lock of this node's agent: two would write each other's routes. Raises StartupError: another has it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with open(os.open(run_dir / "agent.lock", os.O_CREAT | os.O_RDWR, 0o600)) as lock:
        os.fchmod(lock.fileno(), 0o600)  # who can open it can hold it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(f"{trying} in {run_dir}: another agent is already running") from None
        yield
