"""Plainly valid records of the embedded store, read at once: for short commands, without the store and its threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from datastore.errors import DatastoreError
from datastore.plain_records import Json, plain_record
from datastore.sqlite_file import connect

T = TypeVar("T")


def kept_of_all(path: Path, kind_name: str, namespace: str | None, keep: Callable[[Json], T]) -> list[T] | None:
    """Return what `keep` makes of each record of a kind, of one namespace or all, in no order.

    None: the store is to be asked, which waits for locks, and names what is wrong with the file or with a record.
    """
    kept = []
    try:
        with closing(connect(str(path))) as connection:
            rows = connection.execute(
                "SELECT record FROM object WHERE kind = ?1 AND NOT deleted AND (?2 IS NULL OR namespace = ?2)",
                (kind_name, namespace),
            )
            for (text,) in rows:
                if (record := plain_record(kind_name, text)) is None:
                    return None
                kept.append(keep(record))
    except (sqlite3.Error, DatastoreError):
        return None
    return kept
