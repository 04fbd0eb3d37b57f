"""Files that other programs read while they are written: replaced whole, and there after a crash."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file beside its place and rename it: a reader finds the old content or the new. Makes the folder.

    Raises OSError: the disk refused; what was there before still is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The dot keeps a runtime that reads the folder from taking the unfinished file for a configuration.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Have the disk keep the names in a folder, as fsync has it keep a file's content. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
