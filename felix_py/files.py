"""Small files that this node's other programs read: Calico's plugin and tools look for the node's name and the MTU."""

from __future__ import annotations

import logging
from pathlib import Path

from cni.files import replace

log = logging.getLogger("felix.files")


def read_text(path: Path) -> str:
    """Return what the file holds; nothing if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def write_text(path: Path, text: str) -> None:
    """Replace the file's content, if it is another.

    A full or read-only disk is no reason to stop routing: it is logged, and the next change is written again.
    """
    if read_text(path) == text:
        return
    try:
        replace(path, text.encode(), 0o644)
    except OSError as error:
        size = len(text.encode())
        log.error("write %d bytes to %s: %s; its readers find what was there before", size, path, error.strerror)
