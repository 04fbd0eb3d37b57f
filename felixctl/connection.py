"""The way to the datastore that commands share: which one, opened, closed, and its errors told as sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import datastore
from datastore.errors import DatastoreError
from datastore.store import Store
from felixctl.errors import CommandError, RejectedError
from ipam.errors import IpamError

T = TypeVar("T")

_FILE = "sqlite:///"


def reading(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what `work` finds in the store. Raises CommandError; a datastore that is not there is not made."""
    if url.startswith(_FILE) and not (path := Path("/", url.removeprefix(_FILE))).exists():
        raise CommandError(
            f"open the datastore {path}: there is no such file; the agent and `felixctl apply` make it,"
            " or name another by --datastore or FELIX_DATASTORE"
        )
    return writing(url, work)


def writing(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what `work` did with the store. Raises CommandError."""
    try:
        return asyncio.run(_opened(url, work))
    except (DatastoreError, IpamError) as error:
        raise CommandError(str(error)) from None
    except RejectedError as error:
        raise CommandError((*error.sentences, "nothing was written")) from None


async def _opened(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    store = datastore.open(url)
    try:
        return await work(store)
    finally:
        await store.close()
