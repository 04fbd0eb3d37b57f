"""A folder of root's on the host in which a program works that is another user: by its group, and nobody else does.

An edge. It takes no capability where the caller owns the folder and is in the group.

The file that the program locks is made here, as root's: a version of it that is root writes into it, and one that is
not needs only to read it. So either may come after the other, and root finds out whether one runs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MODE = 0o770
LOCK, LOCK_MODE = "lock", 0o644


def share(folder: Path, group: int) -> None:
    """Let the members of a group make and remove files in a folder, and read its lock.

    Raises OSError: as when the folder is another user's.
    """
    os.chown(folder, -1, group)
    folder.chmod(MODE)
    with suppress(FileExistsError):  # O_EXCL: nor is a link followed that a member has put there
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CREAT | os.O_EXCL, LOCK_MODE)
        os.fchmod(lock, LOCK_MODE)  # whatever the umask is
        os.close(lock)
