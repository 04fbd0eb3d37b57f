"""The file: made whole, for its owner; another program's, or one of a newer version, named with the reason."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import datastore
from datastore.errors import Invalid, Unavailable
from datastore.kinds.pools import IPPool
from datastore.sqlite import SqliteStore
from datastore.sqlite_file import MODE, connect, create, identity
from tests.datastore.test_store import pool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "felix.db"


def test_a_new_file_is_its_owners_and_another_that_is_made_leaves_it_alone(path: Path) -> None:
    assert identity(str(path)) is None
    create(str(path))
    made = identity(str(path))
    assert made is not None and path.stat().st_mode & 0o777 == MODE
    create(str(path))
    assert identity(str(path)) == made and [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_file_that_others_may_read_is_its_owners_once_it_is_opened(path: Path) -> None:
    create(str(path))
    path.chmod(0o644)
    with closing(connect(str(path))) as connection:
        assert connection.execute("SELECT count(*) FROM object").fetchone() == (0,)
    assert path.stat().st_mode & 0o777 == MODE


def make_other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def make_newer_schema(path: Path) -> None:
    async def make() -> None:
        store = SqliteStore(str(path))
        await store.list(IPPool)
        await store.close()

    asyncio.run(make())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "error", "sentence"),
    [
        (lambda path: path.write_text("not a database at all\n" * 100), Invalid, "not a readable datastore"),
        (make_other_program, Invalid, "SQLite database of another program"),
        (make_newer_schema, Invalid, "has schema 99, written by a newer felix-py"),
        (Path.mkdir, Unavailable, "it is a folder, not a file"),
        (lambda path: path.parent.rmdir(), Unavailable, r"the folder .* does not exist"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_datastore_is_named_with_the_reason(
    path: Path, spoil: object, error: type[Exception], sentence: str
) -> None:
    path = path.parent / "folder" / path.name
    path.parent.mkdir()
    assert callable(spoil)
    spoil(path)
    before = path.read_bytes() if path.is_file() else None

    async def verbs() -> None:
        store = datastore.open(f"sqlite://{path}")
        for verb in (store.list(IPPool), store.create(pool())):
            with pytest.raises(error, match=sentence) as raised:
                await verb
            assert str(path) in str(raised.value)
        await store.close()

    asyncio.run(verbs())
    assert (path.read_bytes() if path.is_file() else None) == before
