"""Open the datastore for a command, close it, and turn its errors into CommandError."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import datastore
from datastore.errors import DatastoreError, Invalid
from datastore.store import Store
from datastore.url import SqliteFile, StoreAddress, parse_url
from felixctl.datastore_choice import RefusedUrl
from felixctl.errors import CommandError, RejectedError
from ipam.errors import IpamError
from net.printable import one_line

T = TypeVar("T")

IN_MEMORY = "sqlite:///:memory:"


def reading(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what `work` reads from the store. Raises CommandError, also for a file that does not exist yet."""
    if missing := _missing_file(url):
        raise CommandError(
            f"open the datastore {missing}: there is no such file; the agent and `felixctl apply` create it,"
            " or name another by --datastore or FELIX_DATASTORE"
        )
    return writing(url, work)


def previewing(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what `work` reads from the store, from an empty one where a write would make it. Raises CommandError."""
    return writing(IN_MEMORY if _missing_file(url) else url, work)


def chosen(url: str) -> StoreAddress:
    """Return the store that the URL names. Raises CommandError: there is none, or none could be chosen."""
    _reject_refused(url)
    try:
        return parse_url(url)
    except Invalid as error:
        raise CommandError(str(error)) from None


def _missing_file(url: str) -> Path | None:
    """Return the file that the URL names if it does not exist. Raises CommandError: there is no such URL."""
    address = chosen(url)
    return address.path if isinstance(address, SqliteFile) and address.path and not address.path.exists() else None


def _reject_refused(url: str) -> None:
    if isinstance(url, RefusedUrl):
        raise url.error


def writing(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Return the result of `work`, which may write to the store. Raises CommandError."""
    _reject_refused(url)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Line())
    results: list[T] = []
    try:
        asyncio.run(_opened(url, work, results))
    except (DatastoreError, IpamError) as error:
        raise CommandError(str(error)) from None
    except RejectedError as error:
        raise CommandError((*error.sentences, "nothing was written")) from None
    return results[0]


class Line(logging.Formatter):
    """What the store logs, such as a record that it cannot read, as a line that commands no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


async def _opened(url: str, work: Callable[[Store], Awaitable[T]], results: list[T]) -> None:
    """Add the result of `work`.

    It is no task's result, since Python 3.11 formats that when a task ends: a second for what a large cluster holds.
    """
    store = datastore.open(url)
    try:
        results.append(await work(store))
    finally:
        await store.close()
