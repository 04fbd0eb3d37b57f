"""The embedded store: one SQLite file, many processes on one machine.

Every write is one transaction under the file's write lock, and every stored version has its revision: a number that
grows by one with each write of any object. A log of revisions tells watchers what changed since they last looked.

What can only block is on threads, one for reading and one for writing, each with a connection of its own. A lock that
another process holds is waited for a second at most, counted from the call, and then the verb raises Unavailable.

The file is in WAL mode with `synchronous=NORMAL`: a process may be killed at any instruction and nothing that was
answered is lost. After a power failure or a crash of the kernel the file is whole, but the last writes before it may
be missing; the pods and routes that they were about are gone as well then, as all nodes are on this machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from datastore.errors import AlreadyExists, Conflict, DatastoreError, Invalid, NotFound, Unavailable
from datastore.notifier import ChangeNotifier
from datastore.record import Resource
from datastore.resources import KINDS
from datastore.store import (
    Create,
    Delete,
    InSync,
    Interest,
    Listed,
    Unreadable,
    Update,
    WatchEvent,
    Write,
    interest_in,
)
from datastore.watch import ChangeSet, Key, Reported, key_for, key_of

log = logging.getLogger(__name__)

SCHEMA = 1
APPLICATION = 0x66656C78  # "felx", the mark in the file's header that says whose it is
LOCK_WAIT_SECONDS = 1.0
POLL_SECONDS = 1.0
POLL_SECONDS_WITHOUT_INOTIFY = 0.1
HISTORY = 10_000
LOG_BYTES = 16 << 20  # what the write-ahead log shrinks to, after a stopped reader has kept it growing
_TRIM_EVERY = 256

R = TypeVar("R", bound=Resource)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Position:
    """Up to where a watcher has read."""

    revision: int
    generation: int
    data_version: int


class SqliteStore:
    """The datastore in one file; see `datastore.store.Store` for its verbs."""

    def __init__(self, path: str | None, *, history: int = HISTORY) -> None:
        """Without a path the store is in memory, and this object's own. `history` is how many changes are logged."""
        self._where = path or "memory"
        self._history = history
        self._notifier = ChangeNotifier(Path(f"{path}.notify") if path else None)
        existed = threading.Event()
        self._writer = _ConnectionThread(path, "writer", existed)
        # A database in memory belongs to its connection, so there is one.
        self._reader = _ConnectionThread(path, "reader", existed) if path else self._writer
        self._closed = False

    @property
    def atomic(self) -> bool:
        return True

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        key = key_for(kind, name, namespace)
        text = await self._reader.run(f"get {key}", partial(_select, key=key))
        if text is None:
            raise NotFound(f"get {key}: there is none")
        return kind.read_text(text)

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        interest = interest_in(what)
        return await self._reader.run(f"list {interest.kind.PLURAL}", partial(_select_all, interest=interest))

    async def create(self, resource: R) -> R:
        (stored,) = await self.write(Create(resource))
        assert isinstance(stored, type(resource))
        return stored

    async def update(self, resource: R) -> R:
        (stored,) = await self.write(Update(resource))
        assert isinstance(stored, type(resource))
        return stored

    async def delete(self, resource: Resource) -> None:
        await self.write(Delete(resource))

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        what = ", ".join(f"{type(write).__name__.lower()} {key_of(write.resource)}" for write in writes)
        return await self._writer.run(what, partial(self._commit, writes=writes))

    async def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        wanted = [interest_in(interest) for interest in interests]
        reported = Reported()
        position: _Position | None = None
        away = False
        with self._notifier.listen() as notified:
            while not self._closed:
                notified.clear()
                try:
                    reading = partial(self._read_changes, interests=wanted, since=position)
                    latest, changes = await self._reader.run("watch", reading)
                except Unavailable as error:
                    if not away and not self._closed:
                        log.warning("%s; the watch continues when it is back", error)
                    away = True
                    await _set_within(notified, POLL_SECONDS)
                    continue
                if away:
                    log.info("watch in %s: it is back", self._where)
                away = False
                for event in reported.fold(changes):
                    yield event
                if position is None:
                    yield InSync()
                position = latest
                await self._wait_for_change(notified, position)

    async def close(self) -> None:
        self._closed = True
        self._notifier.wake()
        await asyncio.gather(self._reader.close(), self._writer.close())

    async def _wait_for_change(self, notified: asyncio.Event, position: _Position) -> None:
        """Return when there may be something new: a writer notified this process, or the file says so."""
        while not self._closed:
            if await _set_within(notified, POLL_SECONDS if self._notifier.works else POLL_SECONDS_WITHOUT_INOTIFY):
                return
            try:
                version = await self._reader.run("poll", _data_version)
            except Unavailable:
                return
            if version != position.data_version or self._reader.generation != position.generation:
                return

    def _commit(self, connection: sqlite3.Connection, writes: tuple[Write, ...]) -> tuple[Resource | None, ...]:
        """Carry out the writes in one transaction, then notify the watchers. Runs on the writer's thread."""
        with _transaction(connection):
            first = _latest_revision(connection)
            revision = first
            stored: list[Resource | None] = []
            for write in writes:
                resource, changed = _carry_out(connection, write, revision + 1)
                stored.append(resource)
                if changed:
                    revision += 1
                    _log_change(connection, revision, key_of(write.resource), gone=resource is None)
            if revision // _TRIM_EVERY != first // _TRIM_EVERY:
                connection.execute("DELETE FROM change WHERE revision <= ?", (revision - self._history,))
        if revision != first:
            self._notifier.notify()
        return tuple(stored)

    def _read_changes(
        self, connection: sqlite3.Connection, interests: Sequence[Interest[Any]], since: _Position | None
    ) -> tuple[_Position, ChangeSet]:
        """Return what is new for a watcher at `since`, and its position then. Runs on the reader's thread."""
        generation = self._reader.generation
        with _snapshot(connection):
            latest = _Position(_latest_revision(connection), generation, _data_version(connection))
            if since is None or since.generation != generation or not _logged(connection, since, latest):
                return latest, ChangeSet(True, _everything(connection, interests))
            return latest, ChangeSet(False, _changes(connection, interests, since.revision))


class _ConnectionThread:
    """One thread and its connection, which is opened when first needed and again after it was lost."""

    def __init__(self, path: str | None, name: str, existed: threading.Event) -> None:
        self._path = path
        self._existed = existed
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite-{name}")
        self.generation = 0
        """How often a file was opened. A watcher must not compare revisions across two of them."""

    async def run(self, what: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` does with the connection, on this lane's thread.

        Raises Unavailable: it was not possible within the time there is. Raises Invalid: it never will be.
        """
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        try:
            future = self._executor.submit(self._attempt, what, work, deadline)
        except RuntimeError:
            raise Unavailable(f"{what} in {self._path or 'memory'}: the store is closed") from None
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._executor.shutdown(wait=True)
        self._drop()

    def _attempt(self, what: str, work: Callable[[sqlite3.Connection], T], deadline: float) -> T:
        pause = 0.0002
        while True:
            try:
                return work(self._connected())
            except sqlite3.Error as error:
                if _is_busy(error) and time.monotonic() < deadline:
                    # SQLite's own waiting grows to 100 ms a step, far more than a write takes.
                    time.sleep(pause * random.uniform(0.5, 1.5))
                    pause = min(2 * pause, 0.005)
                    continue
                if not _is_busy(error):
                    self._drop()
                raise _translate_error(what, self._path, error) from error

    def _connected(self) -> sqlite3.Connection:
        if self._path is not None and self._file is not None and self._file != _identity(self._path):
            self._drop()  # the file was removed or replaced: what is written to the old one would be lost
        if self._connection is None:
            self._connection = _connect(self._path, create=not self._existed.is_set())
            self._file = _identity(self._path) if self._path is not None else None
            self._existed.set()
            self.generation += 1
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._file = None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: str | None, *, create: bool) -> sqlite3.Connection:
    """Open the file, and make it what it has to be if it is new.

    A file that was there before is not made again: an empty one would tell every watcher that all is gone.
    """
    uri = ":memory:" if path is None else f"file:{quote(path)}?mode={'rwc' if create else 'rw'}"
    # timeout 0: a lock is waited for by the lane, which knows the deadline.
    connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path or "memory")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    with _snapshot(connection):  # one moment, as another process may be making the tables right now
        application, schema = _mark(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION and schema > SCHEMA:
        raise Invalid(
            f"open datastore {path}: it has schema {schema}, written by a newer felix-py, and this one knows"
            f" up to {SCHEMA}; upgrade this one"
        )
    if application != APPLICATION and (application or schema or tables):
        raise Invalid(f"open datastore {path}: it is an SQLite database of another program; nothing was changed")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
    if application != APPLICATION:
        with _transaction(connection):
            if _mark(connection) != (APPLICATION, SCHEMA):  # another process may have been first
                for statement in _CREATE:
                    connection.execute(statement)


def _mark(connection: sqlite3.Connection) -> tuple[int, int]:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    schema: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return application, schema


_CREATE = (
    """CREATE TABLE object (
        kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        revision INTEGER NOT NULL, uid TEXT NOT NULL, created TEXT NOT NULL,
        deleted INTEGER NOT NULL, labels TEXT NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (kind, namespace, name))""",
    """CREATE TABLE change (
        revision INTEGER PRIMARY KEY, gone INTEGER NOT NULL,
        kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL)""",
    f"PRAGMA application_id={APPLICATION}",
    f"PRAGMA user_version={SCHEMA}",
)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, with the write lock from the start: what is read inside can't change before it ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Several reads of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _select(connection: sqlite3.Connection, key: Key) -> str | None:
    row = connection.execute(
        "SELECT record FROM object WHERE kind = ? AND namespace = ? AND name = ? AND NOT deleted", key
    ).fetchone()
    return None if row is None else row[0]


def _select_all(connection: sqlite3.Connection, interest: Interest[R]) -> Listed[R]:
    where, values = _matching([interest])
    rows = connection.execute(
        f"SELECT namespace, name, record FROM object WHERE NOT deleted AND ({where}) ORDER BY namespace, name", values
    )
    objects, unreadable = [], []
    for namespace, name, text in rows:
        found = _read(Key(interest.kind.KIND, namespace, name), interest.kind, text)
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            objects.append(found)
    return Listed(tuple(objects), tuple(unreadable))


def _matching(interests: Iterable[Interest[Any]]) -> tuple[str, list[str]]:
    """Return the SQL condition that an object meets one of these interests, and its values."""
    alternatives: list[str] = []
    values: list[str] = []
    for interest in interests:
        conditions = ["kind = ?"]
        values.append(interest.kind.KIND)
        if interest.namespace is not None:
            conditions.append("namespace = ?")
            values.append(interest.namespace)
        if interest.node is not None:
            # A record that is not JSON may be any node's: it is found, and reported as unreadable.
            conditions.append("CASE WHEN json_valid(record) THEN json_extract(record, ?) = ? ELSE true END")
            values += [f"$.{interest.kind.NODE_FIELD}", interest.node]
        for label, value in interest.labels.items():
            conditions.append("json_extract(labels, ?) = ?")
            values += [f'$."{label}"', value]
        alternatives.append(" AND ".join(conditions))
    return " OR ".join(alternatives) or "false", values


def _read(key: Key, kind: type[R], text: str) -> R | Unreadable:
    """Return the object; a record that was written under other rules must not hide all others."""
    try:
        return kind.read_text(text)
    except Invalid as error:
        log.error("%s; it is ignored until it is written anew", error)
        return Unreadable(kind, key.name, key.namespace or None, str(error))


def _carry_out(connection: sqlite3.Connection, write: Write, revision: int) -> tuple[Resource | None, bool]:
    """Do one write inside a transaction; return what is stored now, and whether anything changed."""
    key = key_of(write.resource)
    found = connection.execute(
        "SELECT revision, uid, created, deleted, record FROM object WHERE kind = ? AND namespace = ? AND name = ?", key
    ).fetchone()
    row = None if found is None else _Row(*found)
    match write:
        case Create(resource):
            return _create(connection, key, resource, row, revision), True
        case Update(resource):
            return _update(connection, key, resource, row, revision)
        case Delete(resource):
            _delete(connection, key, resource, row)
            return None, True


class _Row(NamedTuple):
    revision: int
    uid: str
    created: str
    deleted: int
    record: str


def _create(connection: sqlite3.Connection, key: Key, resource: Resource, row: _Row | None, revision: int) -> Resource:
    if row is not None and not row.deleted:
        raise AlreadyExists(f"create {key}: there is one already, of revision {row.revision}")
    stored = resource.with_metadata(
        resource_version=str(revision),
        uid=str(uuid.uuid4()),
        creation_timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    _put(connection, key, stored, revision)
    return stored


def _update(
    connection: sqlite3.Connection, key: Key, resource: Resource, row: _Row | None, revision: int
) -> tuple[Resource, bool]:
    if resource.revision is None:
        raise Invalid(f"update {key}: it has no resourceVersion, so it can't be told what it was read from")
    _compare("update", key, resource, row)
    assert row is not None
    if resource.to_text() == row.record:
        return resource, False  # as in Kubernetes, where nothing new is no new revision
    stored = resource.with_metadata(resource_version=str(revision), uid=row.uid, creation_timestamp=row.created)
    _put(connection, key, stored, revision)
    return stored, True


def _delete(connection: sqlite3.Connection, key: Key, resource: Resource, row: _Row | None) -> None:
    _compare("delete", key, resource, row)
    connection.execute("DELETE FROM object WHERE kind = ? AND namespace = ? AND name = ?", key)


def _compare(verb: str, key: Key, resource: Resource, row: _Row | None) -> None:
    """Raise Conflict or NotFound unless the stored object is the one that `resource` was read from."""
    if row is None:
        raise NotFound(f"{verb} {key}: there is none")
    if resource.revision is not None and resource.revision != str(row.revision):
        raise Conflict(
            f"{verb} {key}: it was read at revision {resource.revision} and is at {row.revision} now; read it again"
        )
    if resource.metadata.uid is not None and resource.metadata.uid != row.uid:
        raise Conflict(f"{verb} {key}: it was deleted and made anew since it was read; read it again")


def _put(connection: sqlite3.Connection, key: Key, stored: Resource, revision: int) -> None:
    connection.execute(
        "INSERT INTO object (kind, namespace, name, revision, uid, created, deleted, labels, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, namespace, name) DO UPDATE SET"
        " revision = excluded.revision, uid = excluded.uid, created = excluded.created, deleted = excluded.deleted,"
        " labels = excluded.labels, record = excluded.record",
        (
            *key,
            revision,
            stored.metadata.uid,
            stored.metadata.creation_timestamp,
            stored.deleted,
            json.dumps(dict(stored.labels)),
            stored.to_text(),
        ),
    )


def _log_change(connection: sqlite3.Connection, revision: int, key: Key, *, gone: bool) -> None:
    connection.execute(
        "INSERT INTO change (revision, gone, kind, namespace, name) VALUES (?, ?, ?, ?, ?)", (revision, gone, *key)
    )


def _latest_revision(connection: sqlite3.Connection) -> int:
    revision: int = connection.execute("SELECT coalesce(max(revision), 0) FROM change").fetchone()[0]
    return revision


def _logged(connection: sqlite3.Connection, since: _Position, latest: _Position) -> bool:
    """Whether the log still holds every change after `since`."""
    if since.revision == latest.revision:
        return True
    oldest: int = connection.execute("SELECT min(revision) FROM change").fetchone()[0]
    return oldest <= since.revision + 1 and since.revision < latest.revision


def _everything(
    connection: sqlite3.Connection, interests: Sequence[Interest[Any]]
) -> list[tuple[Key, Resource | None]]:
    where, values = _matching(interests)
    rows = connection.execute(
        f"SELECT kind, namespace, name, record FROM object WHERE NOT deleted AND ({where})"
        " ORDER BY kind, namespace, name",
        values,
    )
    return [(key := Key(*row[:3]), _readable(key, row[3])) for row in rows]


def _changes(
    connection: sqlite3.Connection, interests: Sequence[Interest[Any]], since: int
) -> list[tuple[Key, Resource | None]]:
    """Return what changed after revision `since`, in order: the newest state of each object of these kinds.

    None where it is gone, or does not meet the interests (any more).
    """
    where, values = _matching(interests)
    kinds = sorted({interest.kind.KIND for interest in interests})
    rows = connection.execute(
        f"SELECT kind, namespace, name, change.gone, NOT object.deleted AND ({where}), object.record"
        " FROM change LEFT JOIN object USING (kind, namespace, name, revision)"
        f" WHERE change.revision > ? AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY change.revision",
        (*values, since, *kinds),
    )
    return [
        (key := Key(kind, namespace, name), _readable(key, record) if matches else None)
        for kind, namespace, name, gone, matches, record in rows
        if gone or record is not None  # else a later change of the same object says more
    ]


def _readable(key: Key, text: str) -> Resource | None:
    found = _read(key, KINDS[key.kind], text)
    return None if isinstance(found, Unreadable) else found


def _data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has committed."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code; extended ones say more in the bits above."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _translate_error(what: str, path: str | None, error: sqlite3.Error) -> DatastoreError:
    """Return the error to raise for one of SQLite's."""
    tried = f"{what} in {path or 'memory'}"
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable(
                f"{tried}: another process has held the lock for {LOCK_WAIT_SECONDS:.0f} s; nothing was written,"
                " try again later"
            )
        case sqlite3.SQLITE_FULL:
            return Unavailable(f"{tried}: the disk is full; nothing was written, make room and try again")
        case sqlite3.SQLITE_CANTOPEN:
            return Unavailable(f"{tried}: {_why_it_cannot_be_opened(path or '')}; try again when that is put right")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return Unavailable(f"{tried}: the file can't be written ({error}); check its owner and mode")
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return Invalid(f"{tried}: the file is not a readable datastore ({error}); restore it or move it away")
        case _:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            return Unavailable(f"{tried}: {error} ({name}); try again later")


def _why_it_cannot_be_opened(path: str) -> str:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"the folder {folder} does not exist"
    if os.path.isdir(path):
        return "it is a folder, not a file"
    if not os.path.exists(path) and os.access(folder, os.W_OK | os.X_OK):
        return "the file was removed while it was in use"
    if not os.access(folder, os.W_OK | os.X_OK) or (os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK)):
        return "this user may not read and write it, or make files beside it"
    return "the file can't be opened"
