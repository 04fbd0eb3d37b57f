"""What the kernel tells of files and folders reaches whoever listens there, and nobody else."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from kernel.inotify import ATTRIB, CREATE, DELETE_SELF, MOVE_SELF, Inotify


@pytest.fixture(name="inotify")
async def opened() -> AsyncIterator[Inotify]:
    with closing(Inotify()) as opened:
        yield opened


class Heard(asyncio.Event):
    """What is called, and can be waited for."""

    async def come(self) -> bool:
        """Return whether it was called, which takes milliseconds where it ever is."""
        async with asyncio.timeout(30):
            await self.wait()
        self.clear()
        return True


async def test_that_a_socket_is_removed_is_heard_though_somebody_listens_on_it(
    inotify: Inotify, tmp_path: Path
) -> None:
    path, heard = tmp_path / "a.sock", Heard()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        inotify.listen(path, ATTRIB, heard.set)
        path.unlink()
        assert await heard.come()


async def test_who_listens_at_one_place_hears_what_was_asked_for_until_leaving(
    inotify: Inotify, tmp_path: Path
) -> None:
    folder, one, other = tmp_path / "folder", Heard(), Heard()
    folder.mkdir()
    of_one = inotify.listen(folder, CREATE, one.set)
    inotify.listen(folder, CREATE | MOVE_SELF, other.set)
    (folder / "made").touch()
    assert await one.come() and await other.come()
    folder.rename(tmp_path / "moved")
    assert await other.come() and not one.is_set()
    inotify.leave(of_one)
    (tmp_path / "moved" / "another").touch()
    assert await other.come() and not one.is_set()


async def test_a_place_that_is_gone_and_made_anew_is_listened_to_anew(inotify: Inotify, tmp_path: Path) -> None:
    path, heard = tmp_path / "file", Heard()
    for _ in range(3):
        path.touch()
        listener = inotify.listen(path, DELETE_SELF, heard.set)
        path.unlink()
        assert await heard.come()
        inotify.leave(listener)


async def test_where_events_are_lost_all_who_listen_are_called(inotify: Inotify, tmp_path: Path) -> None:
    busy, quiet, heard = [tmp_path / "a", tmp_path / "b"], tmp_path / "c", Heard()
    for path in (*busy, quiet):
        path.touch()
    for path in busy:
        inotify.listen(path, ATTRIB, lambda: None)
    inotify.listen(quiet, ATTRIB, heard.set)
    for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())):
        for path in busy:  # by turns: two of one kind in a row are told once
            os.utime(path)
    assert await heard.come()


async def test_a_place_that_is_not_there_is_an_error(inotify: Inotify, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as refused:
        inotify.listen(tmp_path / "nowhere", ATTRIB, lambda: None)
    assert refused.value.errno == errno.ENOENT
