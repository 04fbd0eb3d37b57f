"""Faults of the datastore: its file is locked, can't be written, finds no room, or is another one.

An edge: each is a context in which the fault lasts; it yields what was done.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import datastore
from datastore.kinds.node import Node
from faults.cluster import Cluster, FaultError
from faults.schedule import Fault
from lab.paths import DATASTORE

FILE = Path(DATASTORE.removeprefix("sqlite://"))
_COPY, _STRANGER, _ASIDE = (FILE.with_name(f"{name}.db") for name in ("copy", "stranger", "aside"))
_PARTS = ("", "-wal", "-shm")
_ATTEMPTS = 20


@asynccontextmanager
async def locked(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Hold the write lock, as a backup or a stuck process would."""
    with _write_lock():
        yield f"another process has the write lock for {fault.seconds} s"


@asynccontextmanager
async def read_only(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Mount the datastore's folder read-only on one node, where the agent is killed to open it anew."""
    folder = str(FILE.parent)
    await cluster.run(fault.node, "mount", "--bind", folder, folder)
    await cluster.run(fault.node, "mount", "-o", "remount,bind,ro", folder)
    await cluster.ask("kill", node=fault.node, what="agent")
    yield f"{folder} is mounted read-only for {fault.seconds} s, from a restart of the agent on"
    await cluster.run(fault.node, "umount", "--lazy", folder)


@asynccontextmanager
async def full(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Leave the filesystem no room beyond what it holds."""
    with closing(_connect(FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else writes find room in the old log
    before = os.statvfs("/")
    await _leave_no_room(cluster, fault.node)
    yield f"no room in the filesystem of {FILE} for {fault.seconds} s"
    await _set_size(cluster, fault.node, before.f_blocks * before.f_frsize)


@asynccontextmanager
async def replaced(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Put a copy in the file's place, as a restore does; nothing is written between the copy and that."""
    with _write_lock():
        with closing(_connect(FILE)) as source, closing(_connect(_COPY)) as copy:
            source.backup(copy)
        _move(FILE, _ASIDE)
        _move(_COPY, FILE)
    for part in _files(_ASIDE):
        part.unlink()
    yield f"{FILE} is a copy of itself"


@asynccontextmanager
async def exchanged(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Have the datastore of another, empty cluster in the file's place for a while."""
    stranger = datastore.open(f"sqlite://{_STRANGER}")
    await stranger.list(Node)
    await stranger.close()
    with _write_lock():
        _move(FILE, _ASIDE)
        _move(_STRANGER, FILE)
    yield f"{FILE} is another cluster's for {fault.seconds} s"
    _move(FILE, _STRANGER)
    _move(_ASIDE, FILE)
    for part in _files(_STRANGER):
        part.unlink()


async def _leave_no_room(cluster: Cluster, node: str) -> None:
    """Set the size to what is held. It is refused if somebody writes meanwhile. Raises FaultError."""
    for left in reversed(range(_ATTEMPTS)):
        found = os.statvfs("/")
        try:
            await _set_size(cluster, node, (found.f_blocks - found.f_bfree) * found.f_frsize)
        except FaultError:
            if not left:
                raise
        else:
            return


async def _set_size(cluster: Cluster, node: str, size: int) -> None:
    """Set how much the lab's root holds; of the nodes' own folders each is a filesystem of its own."""
    await cluster.run(node, "mount", "-o", f"remount,size={size}", "/")


@contextmanager
def _write_lock() -> Iterator[None]:
    with closing(_connect(FILE)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=10, isolation_level=None)


def _move(old: Path, new: Path) -> None:
    """Rename a database with its log and its index. It goes first and comes last, so that nobody opens parts of it."""
    aside = new.with_name(f"{new.name}.moving")
    old.rename(aside)
    for end in _PARTS[1:]:
        with suppress(FileNotFoundError):
            Path(f"{old}{end}").rename(f"{new}{end}")
    aside.rename(new)


def _files(file: Path) -> list[Path]:
    return [part for end in _PARTS if (part := Path(f"{file}{end}")).exists()]
