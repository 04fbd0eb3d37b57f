"""A connection to the embedded store's file: its thread, how it is opened, and what its errors mean.

Small work is done where it is asked for: it takes less time than handing it to a thread and back. What may take long is
on the connection's own thread: large readings, opening the file, writing the log back into it, and whatever waits for
a lock that another process holds. That is waited for until a deadline, then the work raises Unavailable. Any other
commit is a write into the page cache, and waits for no disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from operator import eq
from typing import Any, TypeVar
from urllib.parse import quote

from datastore.errors import DatastoreError, Invalid, Unavailable

log = logging.getLogger(__name__)

SCHEMA = 1
APPLICATION = 0x66656C78  # "felx": marks the file as a datastore of felix-py, in its header
MODE = 0o600  # of the file; SQLite gives its -wal and -shm the same
LOCK_WAIT_SECONDS = 1.0
LOG_BYTES = 16 << 20  # what the write-ahead log shrinks to after a stopped reader made it grow
COMMITS_A_CHECKPOINT = 100  # of some pages each: about as often as SQLite itself would

T = TypeVar("T")
FileIdentity = tuple[int, int]
"""A filesystem's device and an inode."""
IsKnown = Callable[[FileIdentity | None], bool]
"""Whether a file may be worked on."""


class ReadOnly(Unavailable):
    """What this process has open of the file can't be written, though by now the file itself may be."""


def _any(file: FileIdentity | None) -> bool:
    return True


class ConnectionThread:
    """One thread and its connection, which is opened when first needed and again after it was lost."""

    def __init__(self, path: str | None, name: str, existed: threading.Event) -> None:
        self._path = path
        self._existed = existed
        self._connection: sqlite3.Connection | None = None
        self.file: FileIdentity | None = None
        """What the connection has open: another once the file was replaced."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite-{name}")
        self._last: Future[Any] | None = None
        """What the thread was last given: when it is done, the thread is idle."""
        self._commits = 0
        self._closed = False
        self.generation = 0
        """How often a file was opened. Revisions of two generations must not be compared."""

    async def run(
        self,
        what: str,
        work: Callable[[sqlite3.Connection], T],
        is_known: IsKnown = _any,
    ) -> T:
        """Return what `work` does with the connection, on the thread. is_known: whether this file may be worked on.

        Raises Unavailable: it was not possible within the time there is. Raises Invalid: it never will be.
        """
        return await asyncio.wrap_future(self._submit(what, work, is_known))

    async def run_small(self, what: str, work: Callable[[sqlite3.Connection], T], is_known: IsKnown = _any) -> T:
        """Return what `work`, which takes a fraction of a millisecond, does with the connection. Raises as `run`.

        It is done at once, unless the thread has something to do, the file is not open, or it is locked. Others have
        their turn before this returns: what they ask for meanwhile can be gathered.
        """
        if not self._is_free or not is_known(self.file):
            return await self.run(what, work, is_known)
        try:
            assert self._connection is not None
            done = work(self._connection)
        except sqlite3.Error as error:
            if not _is_busy(error):
                self._drop()
                raise _translate_error(what, self._path, error) from error
            return await self.run(what, work, is_known)
        await asyncio.sleep(0)
        return done

    def committed(self) -> None:
        """Count a commit; now and then have the log written back into the file, on the thread: it waits for the disk.

        To be called where the work is asked for.
        """
        self._commits += 1
        if self._commits % COMMITS_A_CHECKPOINT == 0 and self._path is not None:
            with suppress(Unavailable):  # the store is closed
                same_file = partial(eq, self.file)
                self._submit("write its log back", _checkpoint, same_file).add_done_callback(_complain)

    @property
    def _is_free(self) -> bool:
        """Whether the connection is there, nobody uses it, and its file is still the one that has the name."""
        idle = self._last is None or self._last.done()
        return (
            idle
            and not self._closed
            and self._connection is not None
            and (self._path is None or self.file == _identity(self._path))
        )

    async def reopen(self) -> None:
        """Have whoever needs the file next open it anew. Raises Unavailable: the store is closed."""
        await asyncio.wrap_future(self._hand_over("open the file anew", self._drop))

    def _submit(self, what: str, work: Callable[[sqlite3.Connection], T], is_known: IsKnown) -> Future[T]:
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        return self._hand_over(what, partial(self._run_until, what, work, is_known, deadline))

    def _hand_over(self, what: str, work: Callable[[], T]) -> Future[T]:
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            raise Unavailable(f"{what} in {self._path or 'memory'}: the store is closed") from None
        self._last = future
        return future

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True)
        self._drop()

    def _run_until(
        self,
        what: str,
        work: Callable[[sqlite3.Connection], T],
        is_known: IsKnown,
        deadline: float,
    ) -> T:
        pause = 0.0002
        while True:
            try:
                connection = self._open()
                if not is_known(self.file):
                    raise Unavailable(
                        f"{what} in {self._path}: the file was replaced and is read anew; nothing was done, try again"
                    )
                return work(connection)
            except sqlite3.Error as error:
                if _is_busy(error) and time.monotonic() < deadline:
                    # SQLite's own waiting grows to 100 ms a step, far more than a write takes.
                    time.sleep(pause * random.uniform(0.5, 1.5))
                    pause = min(2 * pause, 0.005)
                    continue
                if not _is_busy(error):
                    self._drop()
                raise _translate_error(what, self._path, error) from error

    def _open(self) -> sqlite3.Connection:
        if self._path is not None and self.file is not None and self.file != _identity(self._path):
            self._drop()  # the file was removed or replaced: what is written to the old one would be lost
        if self._connection is None:
            if self._path is not None and not self._existed.is_set() and not os.path.exists(self._path):
                _create(self._path)
            self._connection = _connect(self._path)
            self.file = _identity(self._path) if self._path is not None else None
            self._existed.set()
            self.generation += 1
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self.file = None


def _identity(path: str) -> FileIdentity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create(path: str) -> None:
    """Make a new datastore, readable by its owner only, complete before it has its name.

    So a file without our mark was made by somebody else, or is what an accident left of a datastore. Whoever took it
    for an empty one would report every object as gone.
    """
    made = f"{path}.{os.getpid()}-{threading.get_ident()}.new"
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, MODE))
        with closing(_open_file(f"file:{quote(made)}?mode=rw")) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            _create_tables(connection)
        with suppress(FileExistsError):  # another process was first
            os.link(made, path)
    except OSError as error:
        why = error.strerror if os.path.isdir(os.path.dirname(path)) else _why_it_cannot_be_opened(path)
        raise Unavailable(f"create the datastore {path}: {why}; try again when that is put right") from None
    finally:
        for name in (made, f"{made}-wal", f"{made}-shm"):
            with suppress(OSError):
                os.unlink(name)


def _connect(path: str | None) -> sqlite3.Connection:
    """Open the file, which exists; in memory, a new datastore."""
    connection = _open_file(":memory:" if path is None else f"file:{quote(path)}?mode=rw")
    try:
        if path is None:
            _create_tables(connection)
        _prepare(connection, path or "memory")
    except BaseException:
        connection.close()
        raise
    return connection


def _open_file(uri: str) -> sqlite3.Connection:
    # timeout 0: a lock is waited for by the thread, which knows the deadline.
    return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)


def _create_tables(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        for statement in _CREATE:
            connection.execute(statement)


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    with snapshot(connection):  # one moment: another process may be creating the tables right now
        application, schema = _header(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION and schema > SCHEMA:
        raise Invalid(
            f"open datastore {path}: it has schema {schema}, written by a newer felix-py, and this one knows"
            f" up to {SCHEMA}; upgrade this one"
        )
    if application != APPLICATION and (application or schema or tables):
        raise Invalid(f"open datastore {path}: it is an SQLite database of another program; nothing was changed")
    if application != APPLICATION:
        raise Unavailable(
            f"open datastore {path}: the file is empty, so it is not the datastore that was here; nothing was changed;"
            " restore it, or remove it to begin a new cluster"
        )
    _restrict(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # a commit does not wait for the disk: see `committed`


def _complain(written: Future[None]) -> None:
    if not written.cancelled() and (failure := written.exception()) is not None:
        log.warning("%s; its log grows until it can be done", failure)


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Write what no reader needs any more of the log into the file. It waits for nobody but the disk.

    The first commit into a log that begins anew waits for the disk as well: let it be this one.
    """
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    connection.execute(f"PRAGMA user_version={SCHEMA}")


def _restrict(path: str) -> None:
    """Take from others the right to read the file, by which they could hold its locks and so stop every write."""
    with suppress(OSError):  # in memory, or another user's
        if os.stat(path).st_mode & 0o077:
            os.chmod(path, MODE)


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
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
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a block as one transaction. It holds the write lock from the start: nothing read inside changes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a block whose reads all see the same moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


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
            return ReadOnly(f"{tried}: the file can't be written ({error}); check its owner and mode")
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
