"""BIRD's program and its control socket: where it takes commands, and says how far it is."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time

from bench.patience import PATIENCE_SECONDS

USUAL_FOLDER = "/usr/sbin"
"""Where Debian has it, which is on the path of root alone."""


def executable() -> str:
    """Return where BIRD is. Raises SystemExit: it is not installed."""
    found = shutil.which("bird", path=f"{os.environ.get('PATH', os.defpath)}:{USUAL_FOLDER}")
    if found is None:
        raise SystemExit("BIRD is missing, which this is measured beside; install bird2")
    return found


def connect(path: str, bird: subprocess.Popen[bytes]) -> socket.socket:
    """Connect as soon as BIRD listens, and read its greeting. Raises SystemExit: it has ended, or does not."""
    control = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            control.connect(path)
        except OSError:
            if bird.poll() is not None:
                raise SystemExit(f"BIRD ended with status {bird.returncode}; its message is above") from None
            if time.monotonic() > deadline:
                raise SystemExit("BIRD did not open its control socket in time") from None
            time.sleep(0.005)
        else:
            control.recv(4096)
            return control


def routes(control: socket.socket) -> int:
    """Return how many routes are in its tables."""
    control.sendall(b"show route count\n")
    answer = b""
    while not re.search(rb"^(0000|0014|[89]\d{3}) ", answer, re.MULTILINE):
        answer += control.recv(4096)
    return sum(map(int, re.findall(rb"(\d+) of \d+ routes", answer)))
