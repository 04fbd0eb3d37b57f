"""A file is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cni.files import replace


def test_a_new_file_has_its_content_and_mode_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    replace(path, b"new", 0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_of_the_old_file_goes_on_with_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"old", 0o644)
    with path.open("rb") as reader:
        replace(path, b"new", 0o644)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_where_it_cannot_be_renamed_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        replace(path, b"new", 0o644)
    assert [child.name for child in tmp_path.iterdir()] == ["file"]
