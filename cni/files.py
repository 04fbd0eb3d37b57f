"""Files that other programs read while they are written: replaced whole, and there after a crash."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file beside its place and rename it: a reader finds the old content or the new. Makes the folder.

    Raises OSError: the disk refused; what was there before still is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The dot keeps a runtime that reads the folder from taking the unfinished file for a configuration.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")  # tempfile costs each start of the agent 2 ms
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
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
