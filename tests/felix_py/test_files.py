"""Small files for other programs: written when they differ, and a disk that refuses is no reason to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from felix_py.files import keep_text, read_text, write_text
from kernel.path_watch import PathWatch
from tests.felix_py.fakes import until


def test_what_is_written_is_read_and_anyone_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "calico" / "mtu"
    write_text(path, "1500")
    assert read_text(path) == "1500"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_has_this_content_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mtu"
    write_text(path, "1500")
    before = path.stat().st_ino
    write_text(path, "1500")
    assert path.stat().st_ino == before
    write_text(path, "1480")
    assert path.read_text() == "1480"


def test_a_file_that_is_nobody_elses_is_read_by_its_owner_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "secret", "s3cret", 0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_text_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "spoilt").write_bytes(b"\xff\x00a")
    assert read_text(tmp_path / "spoilt") == "\ufffd\x00a"


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read_text(tmp_path / "nodename") == ""


def test_where_it_cannot_be_written_that_is_logged_and_nothing_rises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    write_text(tmp_path / "file" / "mtu", "1500")
    assert f"write 4 bytes to {tmp_path}/file/mtu" in caplog.text


async def test_a_file_that_somebody_removes_is_written_anew_and_one_that_is_there_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calico" / "nodename"
    path.parent.mkdir()
    path.write_text("theirs")
    with PathWatch() as watch:
        keeping = asyncio.create_task(keep_text(watch, path, "n1"))
        other = asyncio.create_task(keep_text(watch, tmp_path / "other", "n1"))
        await until((tmp_path / "other").exists)
        assert path.read_text() == "theirs"
        path.unlink()
        await until(path.exists)
        assert path.read_text() == "n1"
        keeping.cancel()
        other.cancel()
    await until(lambda: f"{path} was removed by somebody" in caplog.text)
