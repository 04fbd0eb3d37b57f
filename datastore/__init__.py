"""The cluster's state and how it is stored: resources, selectors, and stores behind one set of verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datastore.store import Store


def open(url: str) -> Store:
    """Return the store that `sqlite:///path/to/file.db` names; nothing is read before the first verb.

    `sqlite:///:memory:` is a store of this process's own, for tests.
    Raises Invalid: the URL names no store.
    """
    from datastore.sqlite import SqliteStore
    from datastore.url import sqlite_path

    path = sqlite_path(url)
    return SqliteStore(None if path is None else str(path))
