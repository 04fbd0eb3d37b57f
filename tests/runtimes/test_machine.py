"""What machines leave is found while others come and go."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tests.runtimes.machine import cgroups

LOOKS = 20
"""One that does not bear it, as `Path.glob`, fails within some six."""


def test_cgroups_are_looked_for_while_others_come_and_go() -> None:
    hierarchy = Path("/sys/fs/cgroup")
    top = next(place for place in (hierarchy / "systemd", hierarchy) if place.is_dir())
    others = [top / f"others-{os.getpid()}-{number}" for number in range(8)]
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            for other in others:
                other.mkdir()
            for other in others:
                other.rmdir()

    coming = threading.Thread(target=come_and_go)
    coming.start()
    try:
        assert [cgroups("nobody") for _ in range(LOOKS)] == [[]] * LOOKS
    finally:
        done.set()
        coming.join()
