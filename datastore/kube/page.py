"""One page of a list, each of its objects still as text. Pure."""

from __future__ import annotations

import msgspec

from datastore.kube.shallow import elements, members

PAGE_SIZE = 500


class ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    next: str = msgspec.field(default="", name="continue")


class ListPage(msgspec.Struct):
    metadata: ListMetadata
    items: list[msgspec.Raw] = []


def read_page(body: bytes) -> ListPage:
    """Raises msgspec.DecodeError: it is no list."""
    try:
        return msgspec.json.decode(body, type=ListPage)
    except RecursionError:  # one of the objects: it must not hide the others
        parts = members(body)
        metadata = msgspec.json.decode(parts.get("metadata", b"{}"), type=ListMetadata)
        return ListPage(metadata, [msgspec.Raw(item) for item in elements(parts.get("items", b"[]"))])
