"""Handles as the API server prints them in a table: less than half of its work and ours, compared with whole objects.

Pure. A table has what a kind's definition names as columns; `manifests/crds` names all that a summary of a handle has,
and Calico's own definitions name none. What is in any way odd is left to whoever reads the objects.
"""

from __future__ import annotations

import msgspec

from datastore.summaries import HandleSpec, HandleSummary

COLUMNS = {
    "Handle": ".spec.handleID",
    "Addresses": ".spec.block",
    "Deleted": ".spec.deleted",
    "Revision": ".metadata.resourceVersion",
}
"""Those that a definition names, behind the name that every table has first: heading and what is in it."""


class _Column(msgspec.Struct, gc=False):
    name: str


class _Row(msgspec.Struct, gc=False):
    cells: tuple[str, str, str, bool | None, str]


class _Head(msgspec.Struct, rename="camel", gc=False):
    column_definitions: list[_Column]


class _Rows(msgspec.Struct, gc=False):
    rows: list[_Row] | None


_HEAD, _ROWS = msgspec.json.Decoder(_Head), msgspec.json.Decoder(_Rows)
_COUNTS = msgspec.json.Decoder(dict[str, int])


def has_columns(body: bytes) -> bool:
    """Whether this is a table with all that a summary needs, in its order."""
    try:
        return [column.name for column in _HEAD.decode(body).column_definitions] == ["Name", *COLUMNS]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def read_table(body: bytes) -> list[HandleSummary] | None:
    """Return the handles of a table that has the columns; None: one is flagged as deleted, or otherwise odd."""
    try:
        rows = _ROWS.decode(body).rows or []
        if any(row.cells[3] for row in rows):
            return None
        return [
            HandleSummary(name, revision, HandleSpec(handle, _COUNTS.decode(counts)))
            for name, handle, counts, _, revision in (row.cells for row in rows)
        ]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
