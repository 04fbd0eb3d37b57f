"""Who beside their owner may use the sidecar's files: a group that has their folder, where the agent is in it.

An edge: it reads a folder's owner and mode.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def group_comes_in(folder: Path) -> bool:
    """Whether a folder lets this process's group do all that its owner may, such as putting a file in another's place.

    Elsewhere the group is whatever the user's is, which may be everybody's.
    """
    found = folder.stat()
    return found.st_gid == os.getegid() and found.st_mode & stat.S_IRWXG == stat.S_IRWXG
