"""The names of all handles, for whoever has to know of many whether they are there.

An edge. They are read from a table, which there is of any definition: a row of it costs an API server a fiftieth of a
request. How many there are in all it says beside the first of them.
"""

from __future__ import annotations

import msgspec

from datastore.errors import NotFound
from datastore.kinds.ipam import IPAMHandle
from datastore.kube.paths import collection, with_query
from datastore.kube.questions import TABLE
from datastore.kube.store import KubeStore


class _Column(msgspec.Struct):
    name: str


class _Metadata(msgspec.Struct, rename="camel"):
    next: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class _Row(msgspec.Struct, gc=False):
    cells: list[object]


class _Table(msgspec.Struct, rename="camel"):
    column_definitions: list[_Column]
    metadata: _Metadata
    rows: list[_Row] | None = None


async def handle_names(store: KubeStore, most: int) -> frozenset[str] | None:
    """Return the names of all handles, also of those flagged as deleted; None: there are more, or it is not said.

    Raises as a request does.
    """
    first = await _ask(store, {"limit": "1"})
    remaining = _remaining(first)
    if remaining is None or 1 + remaining > most:
        return None
    return read_names(await _ask(store, {}) if remaining else first)


def read_names(table: bytes) -> frozenset[str] | None:
    """Return the names in a table of objects; None: it is something else."""
    try:
        read = msgspec.json.decode(table, type=_Table)
        names = [row.cells[0] for row in read.rows or ()]
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
        return None
    is_first = [column.name for column in read.column_definitions[:1]] == ["Name"]
    texts = frozenset(name for name in names if isinstance(name, str))
    return texts if is_first and len(texts) == len(names) else None


def _remaining(first: bytes) -> int | None:
    """Return how many objects there are beside those of a table; None: it does not say."""
    try:
        metadata = msgspec.json.decode(first, type=_Table).metadata
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return metadata.remaining_item_count if metadata.next else 0


async def _ask(store: KubeStore, query: dict[str, str]) -> bytes:
    async def ask(group: str) -> bytes:
        path = with_query(collection(IPAMHandle, group), {**query, "includeObject": "None"})
        return (await store.client.request("list the names of ipamhandles", "GET", path, accept=TABLE)).body

    try:
        return await store.group.send(ask)
    except NotFound:  # its definition is not installed, which says nothing of handles
        return b""
