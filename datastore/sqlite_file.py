"""The embedded store's file: how it is made and opened, and what SQLite's errors about it mean.

Imports little: short commands read the file without an event loop.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

from datastore.errors import DatastoreError, Invalid, Unavailable

SCHEMA = 1
APPLICATION = 0x66656C78  # "felx": marks the file as a datastore of felix-py, in its header
MODE = 0o600  # of the file; SQLite gives its -wal and -shm the same
LOCK_WAIT_SECONDS = 1.0
LOG_BYTES = 16 << 20  # of the write-ahead log; a longer one is begun anew as soon as that costs writers nothing
LONGEST_LOG_BYTES = 8 * LOG_BYTES  # a longer one is begun anew though writers wait for the disk

FileIdentity = tuple[int, int]
"""A filesystem's device and an inode."""


class ReadOnly(Unavailable):
    """What this process has open of the file can't be written, though by now the file itself may be."""


def identity(path: str) -> FileIdentity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_size(path: str) -> int:
    """Return the length of the write-ahead log, which a file that nobody has open lacks."""
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0


def create(path: str) -> None:
    """Make a new datastore, readable by its owner only, complete before it has its name.

    So a file without our mark was made by somebody else, or is what an accident left of a datastore. Whoever took it
    for an empty one would report every object as gone.
    """
    import threading  # imported late: who only reads a file needs none

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


def connect(path: str | None) -> sqlite3.Connection:
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


def is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code; extended ones say more in the bits above."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def translated(what: str, path: str | None, error: sqlite3.Error) -> DatastoreError:
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
