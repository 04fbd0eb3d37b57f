"""Everything a collection holds, by pages or in one piece.

An edge. Pages belong together by a revision that the server may forget before the last one: then all is asked anew, in
one piece, which cannot expire. One piece comes from the server's watch cache, pages may not: it then reads etcd and
decodes each object for them. But a long piece needs memory here, and may not come in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec

from datastore.kube.answers import Expired
from datastore.kube.client import ApiClient, NoAnswer
from datastore.kube.http2 import Response
from datastore.kube.page import PAGE_SIZE, read_page
from datastore.kube.paths import with_query

T = TypeVar("T")

PORTION = 100
"""How many objects are decoded before others get a turn."""


async def list_all(
    client: ApiClient,
    what: str,
    path: str,
    query: Mapping[str, str],
    take: Callable[[msgspec.Raw], T],
    *,
    in_one_piece: bool = False,
) -> tuple[list[T], str]:
    """Return what `take` makes of each object, and the revision at which they were so. Raises as a request does.

    in_one_piece: for objects that are many and small. They are asked by pages if no answer comes in time.
    """
    if in_one_piece:
        with suppress(NoAnswer):
            return await _by_pages(client, what, path, query, take)
    try:
        return await _by_pages(client, what, path, {**query, "limit": str(PAGE_SIZE)}, take)
    except Expired:
        return await _by_pages(client, what, path, query, take)


async def _by_pages(
    client: ApiClient, what: str, path: str, query: Mapping[str, str], take: Callable[[msgspec.Raw], T]
) -> tuple[list[T], str]:
    found: list[T] = []
    asked = _ask(client, what, path, query)
    try:
        while True:
            page = read_page((await asked).body)
            if rest := page.metadata.next:  # the server makes the next page while this one is decoded
                asked = _ask(client, what, path, {**query, "continue": rest})
            page.items.reverse()
            while page.items:
                await asyncio.sleep(0)
                found += [take(page.items.pop()) for _ in range(min(PORTION, len(page.items)))]
            if not rest:
                return found, page.metadata.resource_version
    finally:
        asked.cancel()


def _ask(client: ApiClient, what: str, path: str, query: Mapping[str, str]) -> asyncio.Task[Response]:
    return asyncio.create_task(client.request(what, "GET", with_query(path, query)))
