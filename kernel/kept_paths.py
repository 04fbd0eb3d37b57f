"""What must be at its path as long as this process runs, made anew wherever somebody removes it.

Edge. Other programs find the process by it, or leave something for it there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from kernel.path_watch import LOOK_SECONDS, PathWatch

log = logging.getLogger("kernel.kept_paths")

LEAST_SECONDS = 1.0
"""Between two makings, as a program may remove it again and again."""
SETTLING_SECONDS = 0.05
"""For which it must be gone, as a program that replaces it may remove it first."""


async def keep(watch: PathWatch, path: Path, make: Callable[[], Awaitable[None]], why: str = "") -> None:
    """Keep a path until cancelled. What fails is logged, and tried again.

    make: raises OSError. why: it must be there, for the log.
    """
    complaint = ""
    while True:
        try:
            await _gone(watch, path)
            await make()
        except OSError as error:
            if str(error) != complaint:
                complaint = str(error)
                log.error("look after %s: %s; tried again each %g s", path, complaint, LOOK_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)
        else:
            complaint = ""
            log.warning("%s was removed by somebody; it is made anew%s", path, why and f", {why}")
            await asyncio.sleep(LEAST_SECONDS)


async def _gone(watch: PathWatch, path: Path) -> None:
    """Return when a path is not there. Raises OSError: it cannot be looked at."""
    while True:
        with watch.listening(path) as changes:
            if path.exists():
                await changes.wait()
                continue
        await asyncio.sleep(SETTLING_SECONDS)
        if not path.exists():
            return
