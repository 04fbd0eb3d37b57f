"""Small files that this node's other programs read: Calico's plugin and tools look for the node's name and the MTU."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """Return what the file holds; nothing if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def write_text(path: Path, text: str) -> None:
    """Write the file by rename, so that nobody reads half of it. One that says this already is left as it is."""
    if read_text(path) == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.rename(path)
