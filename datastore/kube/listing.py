"""Everything a collection holds, by pages.

An edge. Pages belong together by a revision that the server may forget before the last one: then all is asked anew, in
one piece, which cannot expire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from datastore.kube.answers import Expired
from datastore.kube.client import ApiClient
from datastore.kube.page import PAGE_SIZE, read_page
from datastore.kube.paths import with_query

T = TypeVar("T")


async def list_all(
    client: ApiClient, what: str, path: str, query: Mapping[str, str], take: Callable[[msgspec.Raw], T]
) -> tuple[list[T], str]:
    """Return what `take` makes of each object, and the revision at which they were so. Raises as a request does."""
    try:
        return await _by_pages(client, what, path, {**query, "limit": str(PAGE_SIZE)}, take)
    except Expired:
        return await _by_pages(client, what, path, query, take)


async def _by_pages(
    client: ApiClient, what: str, path: str, query: Mapping[str, str], take: Callable[[msgspec.Raw], T]
) -> tuple[list[T], str]:
    found: list[T] = []
    rest: dict[str, str] = {}
    while True:
        answer = await client.request(what, "GET", with_query(path, {**query, **rest}))
        page = read_page(answer.body)
        found += map(take, page.items)
        if not page.metadata.next:
            return found, page.metadata.resource_version
        rest = {"continue": page.metadata.next}
