from __future__ import annotations

import json

import pytest

from datastore.kinds.ipam import IPAMHandle
from datastore.kube.handle_names import handle_names, read_names
from datastore.kube.store import KubeStore
from tests.kube.bed import Bed


async def test_the_names_of_all_handles_are_listed_where_they_are_not_too_many(bed: Bed) -> None:
    store = KubeStore(bed.access)
    assert await handle_names(store, 1) == frozenset()
    for number in range(3):
        await store.create(IPAMHandle.make(f"net.c{number}", handle_id=f"net.C{number}", block={}))
    flagged = await store.get(IPAMHandle, "net.c1")
    await store.update(flagged.with_spec(deleted=True))
    assert await handle_names(store, 3) == frozenset({"net.c0", "net.c1", "net.c2"})
    assert await handle_names(store, 2) is None
    await store.close()


@pytest.mark.parametrize(
    "odd",
    [
        {"kind": "IPAMHandleList", "items": []},
        {"columnDefinitions": [{"name": "Age"}], "metadata": {}, "rows": []},
        {"columnDefinitions": [{"name": "Name"}], "metadata": {}, "rows": [{"cells": []}]},
        {"columnDefinitions": [{"name": "Name"}], "metadata": {}, "rows": [{"cells": [1]}]},
    ],
)
def test_an_answer_of_another_form_says_nothing(odd: object) -> None:
    assert read_names(json.dumps(odd).encode()) is None
