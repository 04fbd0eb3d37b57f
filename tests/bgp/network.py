"""A network namespace of its own for one test, with several addresses on its loopback device.

    ┌─ namespace of the test ───────────────────────────┐
    │ lo  10.9.0.1  fd09::1     one BGP speaker each,   │
    │     10.9.0.2  fd09::2     on port 179 of its own  │
    │     10.9.0.3  fd09::3     address                 │
    │ silent 10.8.0.1/24        10.8.0.9 swallows every │
    │                           packet: a dead node     │
    └───────────────────────────────────────────────────┘

It ends with the last process in it, so that nothing stays behind however a test ends.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from kernel.netns import inside, new_network_namespace

SPEAKERS = range(1, 6)
SILENT = "10.8.0.9"


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    made = new_network_namespace()
    try:
        with inside(made):
            ip("link set lo up")
            for number in SPEAKERS:
                ip(f"address add 10.9.0.{number}/32 dev lo")
                ip(f"address add fd09::{number}/128 dev lo nodad")
            ip("link add silent type veth peer name nowhere")
            ip("link set nowhere up")
            ip("link set silent up")
            ip("address add 10.8.0.1/24 dev silent")
            ip(f"neighbour add {SILENT} lladdr 02:00:00:00:00:09 dev silent")
            yield
    finally:
        os.close(made)


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)
