"""BIRD's control socket: where it takes commands, and says how far it is."""

from __future__ import annotations

import re
import socket
import time

from bench.patience import PATIENCE_SECONDS


def connect(path: str) -> socket.socket:
    """Connect as soon as BIRD listens, and read its greeting. Raises SystemExit: it does not."""
    control = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            control.connect(path)
        except OSError:
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
