"""A node's wall clock that jumps: a library that all programs of a lab load first (lab/wall_clock.c).

libfaketime does more than is wanted here: it wraps waits, timers and file times too, and is set for each program by its
environment. This one adds a node's shift to the wall clock and leaves the monotonic clock to the kernel.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.paths import TREE

LIBRARY = TREE / "build" / "wall_clock.so"
PRELOAD = "/etc/ld.so.preload"  # ld.so(8); within a lab: of all nodes
SHIFT = "/run/wall-clock-shift"  # of one node: so many seconds is its wall clock ahead


def build() -> Path:
    """Compile the library and return it. Raises CalledProcessError."""
    source = Path(__file__).with_suffix(".c")
    LIBRARY.parent.mkdir(exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", LIBRARY, source, "-ldl"], check=True)
    return LIBRARY
