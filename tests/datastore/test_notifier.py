"""Watchers of every process are woken by a touched file, those of one process without one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from datastore.notifier import ChangeNotifier


async def woken(notified: asyncio.Event) -> bool:
    """Return whether the event is set, which takes milliseconds where it ever is."""
    async with asyncio.timeout(30):
        await notified.wait()
    notified.clear()
    return True


async def test_a_notification_wakes_the_listeners_of_another_process(tmp_path: Path) -> None:
    ours, theirs = ChangeNotifier(tmp_path / "db.notify"), ChangeNotifier(tmp_path / "db.notify")
    with ours.listen() as notified:
        assert ours.works
        for _ in range(3):
            theirs.notify()
            assert await woken(notified)
        (tmp_path / "db.notify").unlink()
        notified.clear()
        theirs.notify()
        assert await woken(notified)


def test_to_listen_runs_no_program(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from datastore.notifier import ChangeNotifier
async def listen():
    notifier = ChangeNotifier(Path(sys.argv[1]))
    with notifier.listen():
        print(notifier.works)
run = []
sys.addaudithook(lambda event, _: run.append(event) if event == "subprocess.Popen" else None)
asyncio.run(listen())
print(run)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "db.notify")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["True", "[]"]


async def test_a_file_that_takes_the_databases_place_wakes_listeners_and_no_other_does(tmp_path: Path) -> None:
    notifier, last = ChangeNotifier(tmp_path / "db.notify", tmp_path / "db"), ChangeNotifier(tmp_path / "last")
    for name in ("restored", "other", "db-wal"):
        (tmp_path / name).touch()
    with notifier.listen() as notified, last.listen() as all_is_read:
        (tmp_path / "restored").rename(tmp_path / "db")
        assert await woken(notified)
        (tmp_path / "db").write_text("changed")
        (tmp_path / "db").chmod(0o600)
        (tmp_path / "other").rename(tmp_path / "another")
        last.notify()
        assert await woken(all_is_read)
        assert not notified.is_set()


async def test_every_listener_is_woken_and_one_that_left_no_more(tmp_path: Path) -> None:
    notifier = ChangeNotifier(tmp_path / "db.notify")
    with notifier.listen() as stays:
        with notifier.listen() as leaves:
            notifier.notify()
            assert await woken(stays) and await woken(leaves)
        notifier.notify()
        assert await woken(stays) and not leaves.is_set()


async def test_without_a_file_a_thread_wakes_the_listeners_of_its_process() -> None:
    notifier = ChangeNotifier(None)
    notifier.notify()  # before anything listens it has no effect
    with notifier.listen() as notified:
        assert notifier.works and not notified.is_set()
        await asyncio.to_thread(notifier.notify)
        assert await woken(notified)


async def test_where_there_is_no_inotify_it_says_that_watchers_must_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr("datastore.notifier.INotify", refused)
    notifier = ChangeNotifier(tmp_path / "db.notify")
    with notifier.listen():
        assert not notifier.works
    assert "too many open files" in caplog.text and "polled" in caplog.text


async def test_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    notifier = ChangeNotifier(tmp_path / "gone" / "db.notify")
    notifier.notify()
    with notifier.listen():
        assert not notifier.works
