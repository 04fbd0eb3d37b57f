"""Plainly valid records of the embedded store, read at once: for short commands, without the store and its threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from datastore.errors import DatastoreError
from datastore.plain_records import Json, plain_record
from datastore.sqlite_file import connect, snapshot

T = TypeVar("T")


class OddRecord(Exception):
    """A record is not plainly valid."""


class PlainRecords:
    """The records of a file at one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def count(self, kind_name: str) -> int:
        """Return how many records of a kind there are, those that are flagged as deleted among them."""
        found: int = self._connection.execute("SELECT count(*) FROM object WHERE kind = ?", [kind_name]).fetchone()[0]
        return found

    def all(self, kind_name: str, read: Callable[[str], T | None], namespace: str | None = None) -> list[T]:
        """Return what `read` makes of the text of each record of a kind, of one namespace or all, in no order.

        They are read as they lie in the file: in the order of names each page of it would be read several times.
        Raises OddRecord: of one `read` makes nothing. Raises sqlite3.Error.
        """
        rows = self._connection.execute(
            "SELECT record FROM object WHERE NOT deleted AND rowid IN"
            " (SELECT rowid FROM object WHERE kind = ?1 AND (?2 IS NULL OR namespace = ?2))",
            (kind_name, namespace),
        )
        found: list[T] = []
        for (text,) in rows:
            if (kept := read(text)) is None:
                raise OddRecord
            found.append(kept)
        return found

    def by_kind(self, readers: Mapping[str, Callable[[str], object | None]]) -> dict[str, list[Any]]:
        """Return what each kind's reader makes of its records, in no order; else as `all`.

        The file is gone through once, from its beginning to its end: that takes half of what to find each record takes.
        """
        found: dict[str, list[Any]] = {kind_name: [] for kind_name in readers}
        for kind_name, text in self._connection.execute("SELECT kind, record FROM object WHERE NOT deleted"):
            if kind_name in readers:
                if (kept := readers[kind_name](text)) is None:
                    raise OddRecord
                found[kind_name].append(kept)
        return found

    def kept(self, kind_name: str, keep: Callable[[Json], T], namespace: str | None = None) -> list[T]:
        """Return what `keep` makes of each decoded record; else as `all`."""

        def read(text: str) -> T | None:
            record = plain_record(kind_name, text)
            return None if record is None else keep(record)

        return self.all(kind_name, read, namespace)


def read_plainly(path: Path, work: Callable[[PlainRecords], T]) -> T | None:
    """Return what `work` makes of a file.

    None: the store is to be asked, which waits for locks, and names what is wrong with the file or with a record.
    """
    try:
        with closing(connect(str(path))) as connection, snapshot(connection):
            return work(PlainRecords(connection))
    except (sqlite3.Error, DatastoreError, OddRecord):
        return None


def kept_of_all(path: Path, kind_name: str, namespace: str | None, keep: Callable[[Json], T]) -> list[T] | None:
    """Return what `keep` makes of each record of a kind, of one namespace or all, in no order.

    None: the store is to be asked.
    """
    return read_plainly(path, lambda records: records.kept(kind_name, keep, namespace))
