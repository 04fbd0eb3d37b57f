"""A list by pages whose place in the collection is forgotten on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datastore.kinds.pools import IPPool
from datastore.kube import listing
from datastore.kube.store import KubeStore
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import faulty_proxy


async def test_a_list_that_expires_between_its_pages_is_asked_in_one_piece(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 2)
    writer = bed.open()
    for n in range(5):
        await writer.create(IPPool.make(f"p{n}", cidr=f"10.{n}.0.0/16"))
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        proxy.faults.expire_pages = 1
        reader = KubeStore(proxy.access)
        assert await reader.list(IPPool) == await writer.list(IPPool)
        asked = [request.partition("ippools")[2] for request in proxy.requests if "ippools" in request]
        assert asked == ["?limit=2", ""]
        await reader.close()
    await writer.close()


async def test_what_is_taken_comes_with_the_revision_of_the_whole(bed: Bed) -> None:
    store = bed.open()
    made = await store.create(IPPool.make("p", cidr="10.0.0.0/16"))
    path = "/apis/crd.projectcalico.org/v1/ippools"
    names, revision = await listing.list_all(
        store._client, "list", path, {}, lambda raw: json.loads(bytes(raw))["metadata"]["name"]
    )
    assert names == ["p"] and int(revision) >= int(made.revision or 0)
    await store.close()
