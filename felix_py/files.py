"""Small files of this node: Calico's plugin and tools look for its name and MTU, the next agent for what was known."""

from __future__ import annotations

import logging
from pathlib import Path

from cni.files import replace
from kernel.kept_paths import keep
from kernel.path_watch import PathWatch

log = logging.getLogger("felix.files")


def read_text(path: Path) -> str:
    """Return what the file holds; nothing if it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace the file's content, if it is another.

    A full or read-only disk is no reason to stop routing: it is logged, and the next change is written again.
    """
    if read_text(path) == text:
        return
    try:
        replace(path, text.encode(), mode)
    except OSError as error:
        size = len(text.encode())
        log.error("write %d bytes to %s: %s; its readers find what was there before", size, path, error.strerror)


async def keep_text(watch: PathWatch, path: Path, text: str, mode: int = 0o644) -> None:
    """Write the file anew wherever somebody has removed it, until cancelled."""

    async def write() -> None:
        replace(path, text.encode(), mode)

    await keep(watch, path, write)
