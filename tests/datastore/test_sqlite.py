"""What only the store in a file has to stand: other processes, killed and stopped ones, bad files, a full disk."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import datastore
from datastore.errors import AlreadyExists, BadRecord, NotFound, Unavailable
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.sqlite import SqliteStore
from datastore.store import Changed, Create, Gone, InSync, Interest, Store, Unreadable, Update, Write
from tests.datastore.test_store import endpoint, events_until_in_sync, handle, mark, next_event, pool, watching


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "felix.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = datastore.open(f"sqlite://{path}")
    yield store
    await store.close()


@contextmanager
def python(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a script in another process, which ends with the block at the latest."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


WRITER = """
    import asyncio, sys
    import datastore
    from datastore.kinds.pools import IPPool

    async def main():
        store = datastore.open("sqlite://" + sys.argv[1])
        for number, _ in enumerate(sys.stdin):
            await store.create(IPPool.make(f"p{number}", cidr=f"10.{number}.0.0/16"))
            print(number, flush=True)

    asyncio.run(main())
"""


async def test_a_single_change_of_another_process_is_reported(store: Store, path: Path) -> None:
    with python(WRITER, path) as writer:
        assert writer.stdin is not None
        async with watching(store, IPPool) as watch:
            assert await events_until_in_sync(watch) == []
            for number in range(3):
                writer.stdin.write("\n")
                writer.stdin.flush()
                event = await next_event(watch)
                assert isinstance(event, Changed) and event.resource.name == f"p{number}"


async def test_a_notification_wakes_a_watcher_that_never_polls(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datastore.sqlite.POLL_SECONDS", 3600)
    other = datastore.open(f"sqlite://{path}")
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        for name in ("a", "b"):
            # It is asleep before the write begins, so that a notification sent too early would wake it to find nothing.
            asleep = asyncio.ensure_future(next_event(watch))
            await asyncio.sleep(0)
            written = await other.create(pool(name))
            assert await asleep == Changed(written)
            Path(f"{path}.notify").unlink()
    await other.close()


async def test_a_commit_whose_writer_died_before_notifying_is_found_by_polling(store: Store, path: Path) -> None:
    first = await store.create(pool())
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        commit_without_notification(path, name="pods", text=mark(first, "1").to_text())
        event = await next_event(watch)
        assert isinstance(event, Changed) and event.resource.annotations == {"mark": "1"}


async def test_a_watcher_that_is_told_of_commits_polls_ever_more_rarely_after_each(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    async def nothing_is_told(notified: asyncio.Event, seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) < 6:
            return False
        enough.set()
        await notified.wait()
        return True

    monkeypatch.setattr("datastore.sqlite._set_within", nothing_is_told)
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        for name in ("a", "b"):
            coming = asyncio.ensure_future(next_event(watch))
            await asyncio.wait_for(enough.wait(), 30)
            assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
            written = await store.create(pool(name))
            assert await coming == Changed(written)
            pauses.clear()
            enough.clear()


async def test_without_inotify_changes_are_found_by_polling(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr("datastore.notifier.INotify", refused)
    other = datastore.open(f"sqlite://{path}")
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        written = await other.create(pool())
        assert await next_event(watch) == Changed(written)
    await other.close()


def commit_without_notification(path: Path, name: str, text: str) -> None:
    """Write as a store does, and notify no watcher."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO change SELECT max(revision) + 1, 0, 'IPPool', '', ? FROM change", (name,))
    connection.execute(
        "UPDATE object SET revision = new, record = json_set(?, '$.metadata.resourceVersion', CAST(new AS TEXT))"
        " FROM (SELECT max(revision) AS new FROM change) WHERE name = ?",
        (text, name),
    )
    connection.execute("COMMIT")
    connection.close()


async def test_a_watch_reads_what_changed_when_others_have_had_their_way(path: Path) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def others() -> None:
        begun.set()
        await over.wait()

    store = SqliteStore(str(path))
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        store.give_way_to(others)
        reading = asyncio.ensure_future(next_event(watch))
        first = await store.create(pool("first"))
        await begun.wait()
        assert not reading.done()
        second = await store.update(first.with_spec(disabled=True))
        over.set()
        assert await reading == Changed(second)  # read once, after both writes
    await store.close()


async def test_a_watcher_that_slept_longer_than_the_log_reaches_gets_everything_it_missed(path: Path) -> None:
    store = SqliteStore(str(path), history=10)
    kept, gone = await store.create(pool("kept")), await store.create(pool("gone"))
    changing = await store.create(pool("changing"))
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        await store.delete(gone)
        for number in range(600):
            changing = await store.update(mark(changing, str(number)))
        assert await next_event(watch) == Gone(IPPool, "gone", None, gone)
        assert await next_event(watch) == Changed(changing)
        last = await store.update(mark(kept, "last"))
        assert await next_event(watch) == Changed(last)
    await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM change").fetchone()[0] < 600
    connection.close()


async def test_one_write_of_many_objects_is_one_transaction(store: Store, path: Path) -> None:
    first = await store.create(handle("h"))
    other = datastore.open(f"sqlite://{path}")
    others = [Create(handle(f"h{n}")) for n in range(20)]
    writes: tuple[Write, ...] = (Update(first.with_spec(block={"10.0.0.0/26": 1})), *others)

    async def counts() -> set[int]:
        seen = set()
        for _ in range(50):
            seen.add(len((await other.list(IPAMHandle)).objects))
        return seen

    seen, _ = await asyncio.gather(counts(), store.write(*writes))
    assert seen <= {1, 21}
    await other.close()


async def test_a_new_file_may_be_opened_by_many_at_once(path: Path) -> None:
    stores = [datastore.open(f"sqlite://{path}") for _ in range(8)]
    await asyncio.gather(*(store.create(pool(f"p{number}")) for number, store in enumerate(stores)))
    assert len((await stores[0].list(IPPool)).objects) == 8
    await asyncio.gather(*(store.close() for store in stores))


async def test_many_processes_lose_no_step_and_no_event(store: Store, path: Path) -> None:
    script = """
        import asyncio, sys
        import datastore
        from datastore.kinds.ipam import IPAMHandle
        from datastore.errors import Conflict

        async def main():
            store = datastore.open("sqlite://" + sys.argv[1])
            for _ in range(100):
                while True:
                    read = await store.get(IPAMHandle, "h")
                    block = {**read.spec.block, sys.argv[2]: read.spec.block.get(sys.argv[2], 0) + 1}
                    try:
                        await store.update(read.with_spec(block=block))
                    except Conflict:
                        continue
                    break
            await store.close()

        asyncio.run(main())
    """
    await store.create(handle("h"))
    with python(script, path, "one"), python(script, path, "two"), python(script, path, "three"):
        async with watching(store, IPAMHandle) as watch:
            last, total = -1, 0
            while total < 300:
                event = await next_event(watch)
                if isinstance(event, Changed):
                    total = sum(event.resource.to_json()["spec"]["block"].values())
                    assert total > last
                    last = total


async def test_what_a_killed_writer_had_acknowledged_is_there(store: Store, path: Path) -> None:
    """Ten writers in turn, each killed at some instant: nothing is lost or half written, no process is locked out."""
    chance = random.Random(3)
    first = 0
    for _ in range(10):
        with python(COUNTER, path, first) as writer:
            answered = [line(writer) for _ in range(chance.randint(1, 40))]
            await asyncio.sleep(chance.random() / 500)
            writer.kill()
            assert writer.stdout is not None
            answered += [each for each in writer.stdout.read().split("\n")[:-1] if each]
        present = {each.name for each in (await store.list(IPAMHandle)).objects}
        assert {f"h{number}" for number in answered} <= present
        last = first + len(answered)
        first = len(present) // 2
        assert first in (last, last + 1)  # the last one may have been written and not yet answered
        assert present == {f"{name}{number}" for name in "hg" for number in range(first)}
        await check_file(path)


COUNTER = """
    import asyncio, sys
    import datastore
    from datastore.kinds.ipam import IPAMHandle
    from datastore.store import Create

    async def main():
        store = datastore.open("sqlite://" + sys.argv[1])
        number = int(sys.argv[2])
        while True:
            pair = [IPAMHandle.make(f"{name}{number}", handle_id="x", block={}) for name in "hg"]
            await store.write(*map(Create, pair))
            print(number, flush=True)
            number += 1

    asyncio.run(main())
"""


async def check_file(path: Path) -> None:
    """Assert that the file is whole, and that each object's revision is in the log."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    lost = "SELECT count(*) FROM object LEFT JOIN change USING (kind, namespace, name, revision) WHERE gone IS NULL"
    assert connection.execute(lost).fetchone() == (0,)
    connection.close()


async def test_a_writer_stopped_with_the_lock_in_hand_makes_others_unavailable_and_freezes_no_loop(
    store: Store, path: Path
) -> None:
    first = await store.create(pool())
    script = """
        import os, signal, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("holding", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        connection.execute("COMMIT")
        print("let go", flush=True)
    """
    with python(script, path) as holder:
        assert line(holder) == "holding"
        writes = [asyncio.ensure_future(store.update(mark(first, str(number)))) for number in range(5)]
        turns = 0
        while not all(write.done() for write in writes):
            # While writers wait, the loop turns and reads are answered.
            assert await store.get(IPPool, "pods") == first
            turns += 1
        assert turns > 5
        for write in writes:
            with pytest.raises(Unavailable, match=r'update IPPool "pods" .*another process has held the lock for 1 s'):
                await write
        os.kill(holder.pid, signal.SIGCONT)
        assert line(holder) == "let go"
        assert (await store.update(mark(first, "again"))).revision != first.revision


async def test_a_watch_outlasts_a_time_in_which_the_file_is_away(store: Store, path: Path) -> None:
    first = await store.create(pool())
    other = datastore.open(f"sqlite://{path}")
    await other.list(IPPool)
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        away = path.with_name("away")
        for file in path.parent.glob("felix.db*"):
            file.rename(str(file).replace(str(path), str(away)))
        with pytest.raises(Unavailable, match="the file was removed while it was in use"):
            await store.create(pool("lost"))
        with pytest.raises(Unavailable):
            await store.list(IPPool)
        copy(away, path)
        second = await other.update(mark(first, "1"))
        assert await next_event(watch) == Changed(second)
    await other.close()


def copy(source: Path, target: Path) -> None:
    """Copy a database as `sqlite3 .backup` does."""
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()


async def test_a_restored_file_is_reported_from_the_start(store: Store, path: Path) -> None:
    kept = await store.create(pool("kept"))
    backup = path.with_name("backup")
    copy(path, backup)
    lost = await store.create(pool("lost"))
    other = datastore.open(f"sqlite://{path}")
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        for file in path.parent.glob("felix.db-*"):
            file.unlink()
        backup.rename(path)
        assert await next_event(watch) == Gone(IPPool, "lost", None, lost)
        anew = await other.create(pool("new"))
        assert await next_event(watch) == Changed(anew)
        assert (await store.list(IPPool)).objects == (kept, anew)
    await other.close()


async def test_nothing_is_asked_of_a_file_that_the_watch_has_not_read(store: Store, path: Path) -> None:
    """It may be another cluster's: whoever released an address there would leave it assigned here."""
    kept = await store.create(pool("kept"))
    stranger = datastore.open(f"sqlite://{path}.stranger")
    found = await stranger.create(pool("found"))
    await stranger.close()
    other = datastore.open(f"sqlite://{path}")
    async with watching(store, IPPool) as watch:
        await events_until_in_sync(watch)
        changed = await store.update(mark(kept, "1"))
        assert await next_event(watch) == Changed(changed)
        for file in path.parent.glob("felix.db-*"):
            file.unlink()
        path.with_name(f"{path.name}.stranger").rename(path)
        for ask in (store.list(IPPool), store.get(IPPool, "kept"), store.delete(changed)):
            with pytest.raises(Unavailable, match="the file was replaced and is read anew"):
                await ask
        events = [await next_event(watch), await next_event(watch)]
        assert Changed(found) in events
        assert Gone(IPPool, "kept", None, changed) in events
        anew = await other.create(pool("new"))
        assert await next_event(watch) == Changed(anew)
        assert (await store.list(IPPool)).objects == (found, anew)
    await other.close()


async def test_a_record_that_cannot_be_read_hides_no_other(store: Store, path: Path) -> None:
    await store.create(pool("bad"))
    good = await store.create(pool("good"))
    commit_without_notification(path, "bad", '{"metadata": {"name": "bad"}, "spec": {}}')
    listed = await store.list(IPPool)
    assert listed.objects == (good,)
    assert [(one.kind, one.name) for one in listed.unreadable] == [(IPPool, "bad")]
    assert listed.unreadable[0].reason == 'IPPool "bad": spec.cidr is required'
    async with watching(store, IPPool) as watch:
        assert await events_until_in_sync(watch) == [*listed.unreadable, Changed(good)]
    with pytest.raises(BadRecord, match=r'get IPPool "bad": IPPool "bad": spec\.cidr is required'):
        await store.get(IPPool, "bad")


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
async def test_a_record_that_is_no_json_can_be_deleted_and_not_patched(store: Store, path: Path, text: str) -> None:
    made = await store.create(pool("bad"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE object SET record = ? WHERE name = 'bad'", (text,))
    with pytest.raises(BadRecord, match='patch IPPool "bad": its record cannot be read'):
        await store.patch(IPPool, "bad", {"spec": {"disabled": True}})
    with pytest.raises(AlreadyExists):
        await store.create(pool("bad"))
    await store.delete(made.with_metadata(resource_version=None, uid=None))
    await store.create(pool("bad"))


async def test_an_object_that_becomes_unreadable_is_unknown_and_not_gone(store: Store, path: Path) -> None:
    await store.create(pool("bad"))
    async with watching(store, IPPool) as watch:
        assert await events_until_in_sync(watch) == [Changed(await store.get(IPPool, "bad"))]
        commit_without_notification(path, "bad", '{"metadata": {"name": "bad"}, "spec": {}}')
        await store.create(pool("next"))
        unreadable = await next_event(watch)
        assert isinstance(unreadable, Unreadable)
        assert (unreadable.name, unreadable.reason) == ("bad", 'IPPool "bad": spec.cidr is required')
        assert isinstance(await next_event(watch), Changed)
        await store.delete(IPPool.make("bad", cidr="10.0.0.0/24"))
        gone = await next_event(watch)
        assert isinstance(gone, Gone) and gone.name == "bad"


async def test_an_empty_file_is_no_datastore_and_stays_as_it_is(path: Path) -> None:
    path.touch()
    store = datastore.open(f"sqlite://{path}")
    with pytest.raises(Unavailable, match="the file is empty, so it is not the datastore that was here"):
        await store.list(IPPool)
    await store.close()
    assert path.read_bytes() == b""


async def test_only_its_owner_may_read_the_datastore(path: Path) -> None:
    """Else any user could hold its locks, and stop every write."""
    store = datastore.open(f"sqlite://{path}")
    await store.create(pool())
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.glob("*.db*")} == {
        f"{path.name}{ending}": "0o600" for ending in ("", "-wal", "-shm", ".notify")
    }
    await store.close()
    path.chmod(0o644)
    again = datastore.open(f"sqlite://{path}")
    await again.list(IPPool)
    assert path.stat().st_mode & 0o777 == 0o600
    await again.close()


async def test_a_record_that_is_not_json_may_be_of_any_node(store: Store, path: Path) -> None:
    bad = await store.create(endpoint("default", "bad", "n1"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE object SET record = '{' WHERE name = ?", (bad.name,))
    for node in ("n1", "n2"):
        listed = await store.list(Interest(WorkloadEndpoint, node=node))
        assert [(one.name, one.namespace) for one in listed.unreadable] == [(bad.name, "default")]
        assert listed.objects == ()


async def test_a_block_of_the_largest_size_goes_through(store: Store) -> None:
    size = 1 << 12
    block = IPAMBlock.make(
        "10-0-0-0-20", cidr="10.0.0.0/20", allocations=[None] * size, unallocated=list(range(size)), attributes=[],
        strict_affinity=False,
    )  # fmt: skip
    stored = await store.create(block)
    assert await store.get(IPAMBlock, "10-0-0-0-20") == stored
    assert stored.spec.unallocated == tuple(range(size))


async def test_a_closed_store_can_be_opened_again_and_is_the_same(path: Path) -> None:
    first = datastore.open(f"sqlite://{path}")
    written = await first.create(pool())
    await first.close()
    await first.close()
    again = datastore.open(f"sqlite:///{path}")
    assert await again.get(IPPool, "pods") == written
    with pytest.raises(NotFound):
        await again.get(IPPool, "others")
    await again.close()


async def test_a_watch_begun_late_is_in_sync_with_what_came_before(store: Store) -> None:
    stored = [await store.create(pool(f"p{number:02}")) for number in range(20)]
    async with watching(store, IPPool) as watch:
        events = [await next_event(watch) for _ in range(21)]
    assert events == [*map(Changed, stored), InSync()]
