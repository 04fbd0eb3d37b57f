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


def test_its_lock_is_the_callers_and_whoever_comes_in_may_read_it(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        share(tmp_path, os.getgid())
    finally:
        os.umask(mask)
    found = (tmp_path / "lock").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (os.getuid(), 0o644)


def test_a_lock_that_somebody_holds_stays(tmp_path: Path) -> None:
    share(tmp_path, os.getgid())
    first = (tmp_path / "lock").stat().st_ino
    share(tmp_path, os.getgid())
    assert (tmp_path / "lock").stat().st_ino == first


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (folder := tmp_path / "shared").mkdir()
    (elsewhere := tmp_path / "elsewhere").write_text("private")
    elsewhere.chmod(0o600)
    (folder / "lock").symlink_to(elsewhere)
    share(folder, os.getgid())
    assert elsewhere.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        share(tmp_path / "gone", os.getgid())
