"""Small files that this node's other programs read: Calico's plugin and tools look for the node's name and the MTU."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger("felix.files")


def read_text(path: Path) -> str:
    """Return what the file holds; nothing if it cannot be read. Bytes that are not UTF-8 become U+FFFD."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def write_text(path: Path, text: str) -> None:
    """Write the file by rename, so that nobody reads half of it. One that says this already is left as it is.

    A full or read-only disk is no reason to stop routing: it is told, and the next change is written again.
    """
    if read_text(path) == text:
        return
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text)
        fresh.rename(path)
    except OSError as error:
        log.error("write %r to %s: %s; whoever reads it finds what was there before", text, path, error.strerror)
