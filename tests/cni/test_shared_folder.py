from __future__ import annotations

import os
from pathlib import Path

import pytest

from cni.shared_folder import share


def test_a_group_comes_in_and_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    share(folder, os.getgid())
    found = folder.stat()
    assert (found.st_gid, found.st_uid, found.st_mode & 0o777) == (os.getgid(), os.getuid(), 0o770)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        share(tmp_path / "gone", os.getgid())
