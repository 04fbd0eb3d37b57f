"""A folder of root's on the host in which a program works that is another user: by its group, and nobody else does.

An edge. It takes no capability where the caller owns the folder and is in the group.
"""

from __future__ import annotations

import os
from pathlib import Path

MODE = 0o770


def share(folder: Path, group: int) -> None:
    """Let the members of a group make and remove files in a folder. Raises OSError: as when it is another user's."""
    os.chown(folder, -1, group)
    folder.chmod(MODE)
