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

from datastore.errors import NotFound
from datastore.kube.answers import Expired
from datastore.kube.client import JSON, ApiClient, NoAnswer
from datastore.kube.handle_table import has_columns, read_table
from datastore.kube.list_message import MEDIA_TYPE, ListMessage
from datastore.kube.page import PAGE_SIZE, read_page
from datastore.kube.paths import with_query
from datastore.kube.pod_message import PodMessage
from datastore.kube.questions import TABLE
from datastore.summaries import HandleSummary

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
            page = read_page(await asked)
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


async def list_pods(
    client: ApiClient, what: str, path: str, query: Mapping[str, str], take: Callable[[msgspec.Raw | PodMessage], T]
) -> list[T]:
    """Return what `take` makes of each pod, read while they arrive: none is kept as it was sent. Raises as a request.

    They are asked in one piece, in protobuf. A server that sends something else, or no answer in time, is asked by
    pages.
    """
    found: list[T] = []
    arriving = ListMessage()

    def begin(headers: Mapping[str, str]) -> Callable[[bytes], None]:
        nonlocal arriving
        if headers.get("content-type", "").partition(";")[0] != MEDIA_TYPE:
            raise ValueError("it is not in protobuf")
        found.clear()
        arriving = ListMessage()
        return take_part

    def take_part(part: bytes) -> None:
        found.extend(take(PodMessage(item)) for item in arriving.feed(part))

    with suppress(NoAnswer, ValueError):
        await client.request(what, "GET", with_query(path, query), accept=f"{MEDIA_TYPE},{JSON}", begin=begin)
        arriving.end()
        return found
    return (await list_all(client, what, path, query, take))[0]


async def list_handles(client: ApiClient, what: str, path: str) -> list[HandleSummary] | None:
    """Return all handles by their names, read from a table; None: they have to be read from the objects.

    They have to where this server's definition has no such columns, or where one is odd. Raises as a request does.
    """
    query = {"includeObject": "None"}
    with suppress(NotFound):
        if has_columns(await _answer(client, what, with_query(path, {**query, "limit": "1"}), TABLE)):
            found = read_table(await _answer(client, what, with_query(path, query), TABLE))
            return found and sorted(found, key=lambda one: one.name)
    return None


def _ask(client: ApiClient, what: str, path: str, query: Mapping[str, str]) -> asyncio.Task[bytes]:
    return asyncio.create_task(_answer(client, what, with_query(path, query)))


async def _answer(client: ApiClient, what: str, path: str, accept: str = JSON) -> bytes:
    parts: list[bytes] = []

    def begin(headers: Mapping[str, str]) -> Callable[[bytes], None]:
        parts.clear()
        return parts.append

    await client.request(what, "GET", path, accept=accept, begin=begin)
    return b"".join(parts)
