"""The embedded store: one SQLite file, many processes on one machine.

Every write is one transaction under the file's write lock, and every stored version has its revision: a number that
grows by one with each write of any object. A log of revisions tells watchers what changed since their last reading.
Reads and writes have a connection each, and a thread for what may take long (datastore.sqlite_connection).

The file is in WAL mode with `synchronous=NORMAL`: a process may be killed at any instruction and nothing that was
acknowledged is lost. After a power failure or a crash of the kernel the file is whole, but the last writes before it
may be missing; the pods and routes that they were about are gone as well then, as all nodes are on this machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec import Struct

from datastore.errors import AlreadyExists, BadRecord, Conflict, Invalid, NotFound, Unavailable
from datastore.fields import time_text
from datastore.merge_patch import merged
from datastore.notifier import ChangeNotifier
from datastore.sqlite_connection import ConnectionThread
from datastore.sqlite_file import FileIdentity, ReadOnly, snapshot, transaction
from datastore.store import (
    Create,
    Delete,
    InSync,
    Interest,
    Listed,
    Named,
    Summary,
    Unreadable,
    Update,
    WatchEvent,
    Write,
    interest_in,
)
from datastore.watch import ChangeSet, Key, Reported, key_for, key_of

if TYPE_CHECKING:  # pydantic comes with it, and who reads summaries needs none
    from datastore.record import Resource

log = logging.getLogger(__name__)

POLL_SECONDS, LONGEST_POLL_SECONDS = 1.0, 8.0
"""Where commits are told by inotify: a second after a change, and twice as long after each look that found none."""
POLL_SECONDS_WITHOUT_INOTIFY = 0.1
HISTORY = 10_000
_TRIM_EVERY = 256
MOST_SMALL = 20
"""Records that are written, or read because they changed, without a thread: some 50 µs each."""

R = TypeVar("R", bound="Resource")
S = TypeVar("S", bound=Named)
T = TypeVar("T")
Decide = Callable[[sqlite3.Connection], Sequence[Write]]
"""Returns what to write, by what the store holds; called again where the file was locked."""


class _Position(Struct, frozen=True):
    """Up to where a watcher has read."""

    revision: int
    generation: int
    data_version: int
    file: FileIdentity | None


class _Wanted(Struct, frozen=True):
    """What a watch is interested in, as it asks the file for it."""

    kinds: Mapping[str, type[Resource]]
    where: str
    """The SQL condition that an object meets an interest."""
    values: Sequence[str]
    """Of the condition."""

    @classmethod
    def by(cls, interests: Sequence[Interest[Any]]) -> _Wanted:
        return cls({interest.kind.KIND: interest.kind for interest in interests}, *_matching(interests))


class SqliteStore:
    """The datastore in one file; see `datastore.store.Store` for its verbs."""

    def __init__(self, path: str | None, *, history: int = HISTORY) -> None:
        """Without a path the store is in memory, and this object's own. `history` is how many changes are logged."""
        self._where = path or "memory"
        self._history = history
        self._notifier = ChangeNotifier(Path(f"{path}.notify"), Path(path)) if path else ChangeNotifier(None)
        existed = threading.Event()  # set for good once one of the threads has opened the file
        self._writer = ConnectionThread(path, "writer", existed)
        # A database in memory belongs to its connection, so there is one.
        self._reader = ConnectionThread(path, "reader", existed) if path else self._writer
        self._give_way: Callable[[], Awaitable[None]] | None = None
        self._read_by_watches: dict[object, FileIdentity | None] = {}
        self._closed = False

    def give_way_to(self, others: Callable[[], Awaitable[None]]) -> None:
        """Have watches read what has changed only when this returns, from now on: what is waited for goes first."""
        self._give_way = others

    @property
    def atomic(self) -> bool:
        return True

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        key = key_for(kind, name, namespace)
        text = await self._reader.run_small(f"get {key}", partial(_select, key=key), self._is_known)
        if text is None:
            raise NotFound(f"get {key}: there is none")
        try:
            return kind.read_text(text)
        except Invalid as error:
            raise BadRecord(f"get {key}: {error}") from None

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        interest = interest_in(what)
        selecting = partial(_select_all, interest=interest)
        return await self._reader.run(f"list {interest.kind.PLURAL}", selecting, self._is_known)

    async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
        selecting = partial(_summarize_all, summary=summary)
        return await self._reader.run(f"summarize {summary.kind_name}", selecting, self._is_known)

    async def scan(self, summary: Summary[R, S], look: Callable[[S], object]) -> tuple[Unreadable, ...]:
        showing = partial(_show_all, summary=summary, look=look)
        return await self._reader.run(f"scan {summary.kind_name}", showing, self._is_known)

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
        return await self._write(what, lambda _: writes, small=len(writes) <= MOST_SMALL)

    async def patch(self, kind: type[R], name: str, patch: Mapping[str, Any], namespace: str | None = None) -> R:
        key = key_for(kind, name, namespace)
        decide = partial(_patched, kind=kind, key=key, patch=patch)
        (stored,) = await self._write(f"patch {key}", decide)
        assert isinstance(stored, kind)
        return stored

    async def _write(self, what: str, decide: Decide, *, small: bool = True) -> tuple[Resource | None, ...]:
        run = self._writer.run_small if small else self._writer.run
        commit = partial(self._commit, decide=decide)
        try:
            stored = await run(what, commit, self._is_known)
        except ReadOnly:
            if not os.access(self._where, os.W_OK):
                raise
            await self._reader.reopen()  # what it opened while the file was read-only, SQLite shares with the writer
            stored = await run(what, commit, self._is_known)
        self._writer.committed()
        return stored

    async def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        wanted = _Wanted.by([interest_in(interest) for interest in interests])
        reported = Reported()
        position: _Position | None = None
        away = False
        with self._notifier.listen() as notified, self._knowing() as knows:
            while not self._closed:
                notified.clear()
                try:
                    latest, changes = await self._news(wanted, position)
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
                await asyncio.sleep(0)  # whoever follows judges what was read before others act on it
                knows(latest.file)
                await self._wait_for_change(notified, position)
                if self._give_way is not None:
                    await self._give_way()

    async def _news(self, wanted: _Wanted, since: _Position | None) -> tuple[_Position, ChangeSet]:
        """Return what is new for a watcher at `since`, and its position then. Raises Unavailable."""
        if since is not None:
            few = await self._reader.run_small("watch", partial(self._read_few, wanted=wanted, since=since))
            if few is not None:
                return few
        return await self._reader.run("watch", partial(self._read_all, wanted=wanted, since=since))

    async def close(self) -> None:
        self._closed = True
        self._notifier.wake()
        await asyncio.gather(self._reader.close(), self._writer.close())

    @contextmanager
    def _knowing(self) -> Iterator[Callable[[FileIdentity | None], None]]:
        """Yield what a watch calls with each file that it has read, while it lasts."""
        watch = object()
        try:
            yield partial(self._read_by_watches.__setitem__, watch)
        finally:
            self._read_by_watches.pop(watch, None)

    def _is_known(self, file: FileIdentity | None) -> bool:
        """Whether every watch has read this file. Before that nobody can say whether it is of the same cluster."""
        if all(read == file for read in self._read_by_watches.copy().values()):
            return True
        self._notifier.notify()
        return False

    async def _wait_for_change(self, notified: asyncio.Event, position: _Position) -> None:
        """Return when there may be something new: after a notification, or when polling finds a change of the file."""
        pauses = _pauses() if self._notifier.works else repeat(POLL_SECONDS_WITHOUT_INOTIFY)
        for pause in pauses:
            if self._closed or await _set_within(notified, pause):
                return
            try:
                version = await self._reader.run_small("poll", _data_version)
            except Unavailable:
                return
            if version != position.data_version or self._reader.generation != position.generation:
                return

    def _commit(self, connection: sqlite3.Connection, decide: Decide) -> tuple[Resource | None, ...]:
        """Decide and carry out the writes in one transaction, then notify the watchers."""
        with transaction(connection):
            writes = decide(connection)
            first = _latest_revision(connection)
            revision = first
            stored: list[Resource | None] = []
            changes: list[tuple[int, bool, str, str, str]] = []
            for write in writes:
                resource, changed = _carry_out(connection, write, revision + 1)
                stored.append(resource)
                if changed:
                    revision += 1
                    changes.append((revision, resource is None, *key_of(write.resource)))
            _log_changes(connection, changes)
            if revision // _TRIM_EVERY != first // _TRIM_EVERY:
                connection.execute("DELETE FROM change WHERE revision <= ?", (revision - self._history,))
        if revision != first:
            self._notifier.notify()
        return tuple(stored)

    def _read_all(
        self, connection: sqlite3.Connection, wanted: _Wanted, since: _Position | None
    ) -> tuple[_Position, ChangeSet]:
        """Return what is new for a watcher at `since`, or everything, and its position then."""
        with snapshot(connection):
            latest = self._position(connection)
            if since is None or not _logged(connection, since, latest):
                return latest, ChangeSet(True, _everything(connection, wanted))
            return latest, ChangeSet(False, _changes(connection, wanted, since.revision))

    def _read_few(
        self, connection: sqlite3.Connection, wanted: _Wanted, since: _Position
    ) -> tuple[_Position, ChangeSet] | None:
        """Return what is new for a watcher at `since`, and its position then; None: that may be much."""
        with snapshot(connection):
            latest = self._position(connection)
            is_near = abs(latest.revision - since.revision) <= MOST_SMALL
            if not is_near or not _logged(connection, since, latest):
                return None
            return latest, ChangeSet(False, _changes(connection, wanted, since.revision))

    def _position(self, connection: sqlite3.Connection) -> _Position:
        data_version = _data_version(connection)  # before the revision: a commit in between must not be missed
        return _Position(_latest_revision(connection), self._reader.generation, data_version, self._reader.file)


def _select(connection: sqlite3.Connection, key: Key) -> str | None:
    row = connection.execute(
        "SELECT record FROM object WHERE kind = ? AND namespace = ? AND name = ? AND NOT deleted", key
    ).fetchone()
    return None if row is None else row[0]


def _select_all(connection: sqlite3.Connection, interest: Interest[R]) -> Listed[R]:
    kind, found = interest.kind, _rows(connection, *_matching([interest]))
    return _listed(_read(Key(kind.KIND, namespace, name), kind, text) for namespace, name, text in found)


def _summarize_all(connection: sqlite3.Connection, summary: Summary[Any, S]) -> Listed[S]:
    found = [*_summaries(connection, summary)]
    found.sort(key=lambda one: (one.namespace or "", one.name))
    return _listed(found)


def _show_all(
    connection: sqlite3.Connection, summary: Summary[Any, S], look: Callable[[S], object]
) -> tuple[Unreadable, ...]:
    unreadable: list[Unreadable] = []
    for one in _summaries(connection, summary):
        if isinstance(one, Unreadable):
            unreadable.append(one)
        else:
            look(one)
    connection.execute("PRAGMA shrink_memory")  # of the file's pages it has read nearly all, and needs few again
    return tuple(unreadable)


def _summaries(connection: sqlite3.Connection, summary: Summary[Any, S]) -> Iterator[S | Unreadable]:
    """Yield them as they lie in the file: in the order of names each page of it would be read several times."""
    found = connection.execute(
        "SELECT namespace, name, record FROM object"
        " WHERE rowid IN (SELECT rowid FROM object WHERE kind = ?) AND NOT deleted",
        [summary.kind_name],
    )
    for namespace, name, text in found:
        if (kept := summary.read(text)) is not None:
            yield kept
            continue
        odd = _read(Key(summary.kind_name, namespace, name), summary.kind, text)
        yield odd if isinstance(odd, Unreadable) else summary.of(odd)


def _rows(connection: sqlite3.Connection, where: str, values: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield namespace, name and record of the objects that meet an SQL condition."""
    return connection.execute(
        f"SELECT namespace, name, record FROM object WHERE NOT deleted AND ({where}) ORDER BY namespace, name", values
    )


def _listed(found: Iterable[T | Unreadable]) -> Listed[T]:
    objects: list[T] = []
    unreadable: list[Unreadable] = []
    for one in found:
        if isinstance(one, Unreadable):
            unreadable.append(one)
        else:
            objects.append(one)
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
        if interest.name is not None:
            conditions.append("name = ?")
            values.append(interest.name)
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
        return kind.read_text(text, key.name)
    except Invalid as error:
        log.error("%s; it is ignored until it is written again", error)
        return Unreadable(kind, key.name, key.namespace or None, str(error))


def _patched(connection: sqlite3.Connection, kind: type[Resource], key: Key, patch: Mapping[str, Any]) -> list[Write]:
    """Return the update that a merge patch of the stored object is."""
    text = _select(connection, key)
    if text is None:
        raise NotFound(f"patch {key}: there is none")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"patch {key}: its record cannot be read: {error}") from None
    resource = kind.read(merged(record, dict(patch)))
    if key_of(resource) != key:
        raise Invalid(f"patch {key}: name and namespace can't be changed")
    return [Update(resource)]


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
        creation_timestamp=time_text(time.time_ns()),
    )
    _put(connection, key, stored, stored.to_text(), revision)
    return stored


def _update(
    connection: sqlite3.Connection, key: Key, resource: Resource, row: _Row | None, revision: int
) -> tuple[Resource, bool]:
    if resource.revision is None:
        raise Invalid(f"update {key}: it has no resourceVersion to compare: update what was read from the store")
    _compare("update", key, resource, row)
    assert row is not None
    stored = resource.with_metadata(resource_version=str(revision), uid=row.uid, creation_timestamp=row.created)
    text = stored.to_text()
    # A text that differs in more than its revision has most likely another length: nothing is to be compared then.
    as_long = len(text) - len(str(revision)) == len(row.record) - len(str(row.revision))
    if as_long and resource.to_text() == row.record:
        return resource, False  # as in Kubernetes, where nothing new is no new revision
    _put(connection, key, stored, text, revision)
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
        raise Conflict(f"{verb} {key}: it was deleted and created again since it was read; read it again")


def _put(connection: sqlite3.Connection, key: Key, stored: Resource, text: str, revision: int) -> None:
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
            text,
        ),
    )


def _log_changes(connection: sqlite3.Connection, changes: Iterable[tuple[int, bool, str, str, str]]) -> None:
    """Log for each its revision, whether its object is gone, and which that is."""
    connection.executemany("INSERT INTO change (revision, gone, kind, namespace, name) VALUES (?, ?, ?, ?, ?)", changes)


def _latest_revision(connection: sqlite3.Connection) -> int:
    revision: int = connection.execute("SELECT coalesce(max(revision), 0) FROM change").fetchone()[0]
    return revision


def _logged(connection: sqlite3.Connection, since: _Position, latest: _Position) -> bool:
    """Whether the log still holds every change after `since`."""
    if since.generation != latest.generation:
        return False
    if since.revision == latest.revision:
        return True
    oldest: int = connection.execute("SELECT min(revision) FROM change").fetchone()[0]
    return oldest <= since.revision + 1 and since.revision < latest.revision


def _everything(connection: sqlite3.Connection, wanted: _Wanted) -> list[tuple[Key, Resource | Unreadable | None]]:
    rows = connection.execute(
        f"SELECT kind, namespace, name, record FROM object WHERE NOT deleted AND ({wanted.where})"
        " ORDER BY kind, namespace, name",
        wanted.values,
    )
    return [(key := Key(*row[:3]), _read(key, wanted.kinds[key.kind], row[3])) for row in rows]


def _changes(
    connection: sqlite3.Connection, wanted: _Wanted, since: int
) -> list[tuple[Key, Resource | Unreadable | None]]:
    """Return what changed after revision `since`, in order: the newest state of each object of these kinds.

    None where it is gone, or does not meet the interests (any more).
    """
    kinds = wanted.kinds
    rows = connection.execute(
        f"SELECT kind, namespace, name, change.gone, NOT object.deleted AND ({wanted.where}), object.record"
        " FROM change LEFT JOIN object USING (kind, namespace, name, revision)"
        f" WHERE change.revision > ? AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY change.revision",
        (*wanted.values, since, *sorted(kinds)),
    )
    return [
        (key := Key(kind, namespace, name), _read(key, kinds[key.kind], record) if matches else None)
        for kind, namespace, name, gone, matches, record in rows
        if gone or record is not None  # else a later change of the same object follows
    ]


def _data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has committed."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def _pauses() -> Iterator[float]:
    """Yield the pauses between polls since the last change that was told, in seconds.

    A commit that is not told is one whose writer died right after it, and that is seldom long after another.
    """
    pause = POLL_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_POLL_SECONDS)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
