from __future__ import annotations

import json

import pytest

from datastore.kinds.ipam import IPAMHandle
from datastore.kube.handle_table import COLUMNS, has_columns, read_table
from datastore.kube.listing import list_handles
from datastore.kube.paths import collection
from datastore.kube.store import KubeStore
from datastore.record import CRD
from datastore.store import Listed
from datastore.summaries import HANDLES, HandleSpec, HandleSummary
from tests.kube.bed import Bed

ROW = ["net.c1", "net.C1", '{"10.65.0.0/26":1,"fd00::/122":2}', False, "7"]


def table(*rows: list[object], columns: tuple[str, ...] = ("Name", *COLUMNS)) -> bytes:
    record = {
        "columnDefinitions": [{"name": name, "type": "string"} for name in columns],
        "rows": [{"cells": row, "object": None} for row in rows] or None,
    }
    return json.dumps(record).encode()


def test_a_row_has_all_that_is_kept_of_a_handle() -> None:
    spec = HandleSpec("net.C1", {"10.65.0.0/26": 1, "fd00::/122": 2})
    assert read_table(table(ROW, [*ROW[:3], None, "8"])) == [
        HandleSummary("net.c1", "7", spec),
        HandleSummary("net.c1", "8", spec),
    ]
    assert read_table(table()) == []


@pytest.mark.parametrize(
    "odd",
    [
        [*ROW[:3], True, "7"],
        ["net.c1", None, *ROW[2:]],
        [*ROW[:2], None, False, "7"],
        [*ROW[:2], "map[10.65.0.0/26:1]", False, "7"],
        [*ROW[:2], '{"10.65.0.0/26":"1"}', False, "7"],
        ["net.c1", "2026-11-29T16:25:15Z"],
    ],
)
def test_where_one_handle_is_odd_none_is_read_from_the_table(odd: list[object]) -> None:
    """A flag, a field that is missing, another version's way of printing, another type, other columns."""
    assert read_table(table(ROW, odd)) is None


def test_calicos_own_definition_has_no_such_columns() -> None:
    assert has_columns(table())
    assert not has_columns(table(columns=("Name", "Age")))
    assert not has_columns(b'{"kind":"IPAMHandleList","items":[]}')


async def test_handles_are_the_same_from_a_table_and_from_objects(bed: Bed) -> None:
    writer, asked = bed.open(), KubeStore(bed.access)
    blocks = {"10.65.0.0/26": 1, "fd00:0:0:1::/122": 3}
    made = [
        IPAMHandle.make("net.c1", handle_id="net.C1", block=blocks, deleted=False),
        IPAMHandle.make("net.c2", handle_id='net."ü <&>', block={}),
    ]
    for handle in made:
        await writer.create(handle)
    handles = (await writer.list(IPAMHandle)).objects
    path = collection(IPAMHandle, CRD)
    assert await list_handles(asked.client, "list", path) == list(map(HANDLES.of, handles)) and len(handles) == 2
    await writer.update(handles[0].with_spec(deleted=True))
    assert await list_handles(asked.client, "list", path) is None
    assert await asked.summarize(HANDLES) == Listed(tuple(map(HANDLES.of, handles[1:])))
    await writer.close()
    await asked.close()
