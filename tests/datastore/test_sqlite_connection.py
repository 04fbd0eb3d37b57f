"""A connection to the file: a lock that is not released, a spoilt file, a full disk; each named with its reason."""

from __future__ import annotations

import asyncio
import operator
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from weakref import ref

import pytest

import datastore
from datastore.errors import Invalid, Unavailable
from datastore.kinds.ipam import IPAMHandle
from datastore.sqlite_connection import COMMITS_A_CHECKPOINT, ConnectionThread, may_begin_anew
from datastore.sqlite_file import LOG_BYTES, LONGEST_LOG_BYTES, log_size, snapshot, transaction
from datastore.store import Store
from tests.datastore.test_store import handle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "felix.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = datastore.open(f"sqlite://{path}")
    yield store
    await store.close()


def count(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT count(*) FROM object").fetchone()[0]
    return found


async def test_work_waits_for_a_lock_until_its_deadline_and_nothing_is_done_then(path: Path) -> None:
    thread = ConnectionThread(str(path), "test", threading.Event())
    await thread.run("make it", count)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=f"write in {path}: another process has held the lock for 1 s"):
            await thread.run("write", lambda connection: connection.execute("DELETE FROM object"))
        other.execute("ROLLBACK")
        assert await thread.run("read", count) == 0
    await thread.close()


def where(connection: sqlite3.Connection) -> int:
    """Do nothing with the connection; return the thread that has it."""
    return threading.get_ident()


async def test_small_work_is_done_at_once_and_large_on_the_thread(path: Path) -> None:
    thread, here = ConnectionThread(str(path), "test", threading.Event()), threading.get_ident()
    assert await thread.run_small("read", where) != here, "the file is not open yet"
    assert await thread.run_small("read", where) == here
    assert await thread.run("read", where) != here
    await thread.close()


async def test_of_small_work_in_one_turn_of_the_loop_the_first_alone_lets_nobody_else_have_a_turn(path: Path) -> None:
    thread, done = ConnectionThread(str(path), "test", threading.Event()), list[str]()

    async def other() -> None:
        done.append("other")

    await thread.run("make it", count)
    for _ in range(2):
        others = asyncio.create_task(other())
        await thread.run_small("read", lambda connection: done.append("first"))
        await thread.run_small("read", lambda connection: done.append("second"))
        done.append("end")
        await others
        await asyncio.sleep(0)
    assert done == ["first", "second", "other", "end"] * 2
    await thread.close()


async def test_small_work_waits_behind_what_the_thread_has_to_do(path: Path) -> None:
    thread, go_on, done = ConnectionThread(str(path), "test", threading.Event()), threading.Event(), list[str]()

    def hold(connection: sqlite3.Connection) -> None:
        assert go_on.wait(10)
        done.append("large")

    large = asyncio.create_task(thread.run("hold", hold))
    await asyncio.sleep(0)
    small = asyncio.create_task(thread.run_small("read", lambda connection: done.append("small")))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(large, small)
    assert done == ["large", "small"]
    await thread.close()


async def test_what_was_read_last_is_not_kept(path: Path) -> None:
    """All endpoints of a cluster are tens of megabytes, and nobody may ask the idle thread for anything for minutes."""
    thread = ConnectionThread(str(path), "test", threading.Event())
    last = ref(await thread.run("read", lambda connection: frozenset({"an endpoint"})))
    async with asyncio.timeout(10):
        while last() is not None:  # noqa: ASYNC110 - nothing tells that an object is freed
            await asyncio.sleep(0)
    await thread.close()


async def test_small_work_that_meets_a_lock_waits_for_it_on_the_thread(path: Path) -> None:
    thread = ConnectionThread(str(path), "test", threading.Event())
    await thread.run("make it", count)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(thread.run_small("write", lambda one: one.execute("DELETE FROM object")))
        await asyncio.sleep(0)
        assert not write.done(), "the loop goes on meanwhile"
        other.execute("ROLLBACK")
        await write
    await thread.close()


async def test_the_log_is_written_back_now_and_then(store: Store, path: Path) -> None:
    """SQLite is told not to do that itself, within a commit."""
    await store.create(handle("first"))
    before = path.stat().st_size
    for number in range(1, COMMITS_A_CHECKPOINT):
        await store.create(handle(str(number)))
    async with asyncio.timeout(10):
        while path.stat().st_size == before:  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(0.01)


RECORD = "x" * 100_000
MOST_COMMITS = 5_000
"""Of a record each, they are several times what the longest log is to hold."""


def put(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("INSERT OR REPLACE INTO change VALUES (1, 0, '', '', ?)", (RECORD,))


@contextmanager
def somebody_always_reads(path: Path) -> Iterator[None]:
    """Two readers take turns, and each begins before the other ends."""
    ended = threading.Event()

    def read() -> None:
        with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path)) as other:
            while not ended.wait(0.005):
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM change").fetchone()
                one.rollback()
                one, other = other, one

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def test_a_log_that_is_too_long_begins_anew_though_somebody_always_reads(path: Path) -> None:
    thread = ConnectionThread(str(path), "test", threading.Event())
    commits = 0

    async def commit_while_log_is(compare: Callable[[int, int], bool]) -> None:
        nonlocal commits
        while compare(log_size(str(path)), LOG_BYTES):
            await thread.run("put", put)
            thread.committed()
            commits += 1
            assert commits < MOST_COMMITS, f"the log has {log_size(str(path)):,} bytes"

    await thread.run("make it", count)
    with somebody_always_reads(path):
        await commit_while_log_is(operator.le)
        await commit_while_log_is(operator.gt)
    await thread.close()


async def test_who_commits_once_begins_a_long_log_anew_that_others_have_left(path: Path) -> None:
    reader, *writers = (
        ConnectionThread(str(path), "test", threading.Event()) for _ in range(1 + 2 * COMMITS_A_CHECKPOINT)
    )
    await reader.run("keep it open", count)  # the last to close the file would write the log back
    for writer in writers:
        await writer.run("put", put)
        writer.committed()
        await writer.close()
    assert log_size(str(path)) <= 2 * LOG_BYTES
    await reader.close()


async def test_writers_wait_for_no_reader_that_is_far_behind(path: Path) -> None:
    """They would wait in vain, each time that somebody has the log written back."""
    thread = ConnectionThread(str(path), "test", threading.Event())
    done: list[str] = []
    await thread.run("look", lambda connection: connection.set_trace_callback(done.append))
    with closing(sqlite3.connect(path)) as stopped:
        stopped.execute("BEGIN")
        stopped.execute("SELECT count(*) FROM change").fetchone()
        while log_size(str(path)) < 2 * LOG_BYTES:
            await thread.run("put", put)
            thread.committed()
        await thread.run("be done", count)
        assert "PRAGMA wal_checkpoint(PASSIVE)" in done
        assert "PRAGMA wal_checkpoint(RESTART)" not in done
    for _ in range(COMMITS_A_CHECKPOINT):
        await thread.run("put", put)
        thread.committed()
    await thread.run("be done", count)
    assert "PRAGMA wal_checkpoint(RESTART)" in done
    await thread.close()


SLOW, QUICK = 0.7, 0.001


@pytest.mark.parametrize(
    ("length", "left", "pass_seconds", "may"),
    [
        (LOG_BYTES + 1, 0.0, SLOW, True),
        (LOG_BYTES + 1, 0.01, QUICK, True),
        (LOG_BYTES + 1, 0.01, SLOW, False),
        (LONGEST_LOG_BYTES + 1, 0.01, SLOW, True),
        (LONGEST_LOG_BYTES + 1, 0.5, QUICK, False),
    ],
    ids=["nothing to write", "a quick disk", "a slow disk", "much too long", "a reader far behind"],
)
def test_writers_wait_where_it_is_cheap_or_needed(length: int, left: float, pass_seconds: float, may: bool) -> None:
    assert may_begin_anew(length, left, pass_seconds) is may


async def test_a_file_that_vanished_is_not_made_again(path: Path) -> None:
    thread = ConnectionThread(str(path), "test", threading.Event())
    await thread.run("make it", count)
    path.unlink()
    with pytest.raises(Unavailable, match=f"read in {path}: the file was removed while it was in use"):
        await thread.run("read", count)
    assert not path.exists()
    await thread.close()


async def test_a_file_that_was_replaced_is_opened_anew_and_its_revisions_are_of_another_generation(path: Path) -> None:
    thread, other = (ConnectionThread(str(path.parent / name), "test", threading.Event()) for name in ("felix.db", "b"))
    await thread.run("make it", count)
    generation = thread.generation
    await other.run("make another", count)
    await other.close()
    (path.parent / "b").rename(path)
    await thread.run("read", count)
    assert thread.generation == generation + 1
    await thread.close()


async def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    thread = ConnectionThread(str(path), "test", threading.Event())

    def fail(connection: sqlite3.Connection) -> None:
        with transaction(connection):
            connection.execute("INSERT INTO change VALUES (1, 0, 'IPPool', '', 'a')")
            raise LookupError

    def changes(connection: sqlite3.Connection) -> int:
        with snapshot(connection):
            found: int = connection.execute("SELECT count(*) FROM change").fetchone()[0]
            return found

    with pytest.raises(LookupError):
        await thread.run("fail", fail)
    assert await thread.run("read", changes) == 0
    await thread.close()
    with pytest.raises(Unavailable, match="the store is closed"):
        await thread.run("read", changes)


async def test_a_spoilt_file_is_named_and_others_are_not_harmed(store: Store, path: Path) -> None:
    for number in range(50):
        await store.create(handle(f"h{number}"))
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    again = datastore.open(f"sqlite://{path}")
    with pytest.raises(Invalid, match="not a readable datastore"):
        await again.list(IPAMHandle)
    await again.close()


def test_a_full_disk_is_named_and_what_was_there_stays() -> None:
    """In a mount namespace of its own: a file system of 400 kB, filled, then given room again."""
    script = """
        import asyncio, os, sys
        import datastore
        from datastore.kinds.ipam import IPAMHandle
        from datastore.kinds.pools import IPPool
        from datastore.errors import Unavailable

        async def main():
            store = datastore.open("sqlite:///mnt/felix.db")
            await store.create(IPPool.make("first", cidr="10.0.0.0/16"))
            ballast = os.open("/mnt/ballast", os.O_CREAT | os.O_WRONLY)
            try:
                while True:
                    os.write(ballast, b"x" * 4096)
            except OSError:
                os.close(ballast)
            number = 0
            try:
                while True:
                    await store.create(IPAMHandle.make(f"h{number}", handle_id=f"h{number}", block={}))
                    number += 1
            except Unavailable as error:
                print(error)
            assert len((await store.list(IPAMHandle)).objects) == number
            os.unlink("/mnt/ballast")
            await store.create(IPPool.make("second", cidr="10.1.0.0/16"))
            print([pool.name for pool in (await store.list(IPPool)).objects])
            await store.close()

        asyncio.run(main())
    """
    done = _in_own_mounts("mount -t tmpfs -o size=400k tmpfs /mnt", script)
    assert done.returncode == 0, done.stderr
    full, names = done.stdout.splitlines()
    assert 'create IPAMHandle "h' in full and "/mnt/felix.db: the disk is full" in full
    assert names == "['first', 'second']"


def test_a_file_that_was_read_only_at_the_start_is_written_when_it_can_be() -> None:
    """In a mount namespace of its own, where another process has the file open all the time."""
    script = """
        import asyncio, subprocess, sys
        import datastore
        from datastore.errors import Unavailable
        from datastore.kinds.pools import IPPool

        OTHER = (
            "import sqlite3, sys; there = sqlite3.connect('/mnt/felix.db');"
            "there.execute('SELECT * FROM object').fetchone(); print(flush=True); sys.stdin.read()"
        )
        PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}

        def mount(*words):
            subprocess.run(("mount", *words), check=True)

        async def main():
            store = datastore.open("sqlite:///mnt/felix.db")
            await store.create(IPPool.make("first", cidr="10.0.0.0/16"))
            with subprocess.Popen((sys.executable, "-c", OTHER), **PIPES) as other:
                other.stdout.readline()
                await store.close()
                mount("--bind", "/mnt", "/mnt")
                mount("-o", "remount,bind,ro", "/mnt")
                store = datastore.open("sqlite:///mnt/felix.db")
                print([pool.name for pool in (await store.list(IPPool)).objects])
                try:
                    await store.create(IPPool.make("refused", cidr="10.2.0.0/16"))
                except Unavailable as error:
                    print(error)
                subprocess.run(("umount", "--lazy", "/mnt"), check=True)
                await store.create(IPPool.make("second", cidr="10.1.0.0/16"))
                print([pool.name for pool in (await store.list(IPPool)).objects])
                await store.close()
                other.stdin.close()

        asyncio.run(main())
    """
    done = _in_own_mounts("mount -t tmpfs tmpfs /mnt", script)
    assert done.returncode == 0, done.stderr
    before, refusal, after = done.stdout.splitlines()
    assert before == "['first']"
    assert "/mnt/felix.db: the file can't be written" in refusal
    assert after == "['first', 'second']"


def _in_own_mounts(prepare: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of Python behind a command of the shell, in a mount namespace of its own."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{prepare} && exec "$@"', "sh"]
    return subprocess.run(
        [*command, sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, cwd=Path(__file__).parent.parent.parent, timeout=60, check=False,
    )  # fmt: skip
