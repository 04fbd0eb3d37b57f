"""A list by pages whose place in the collection is forgotten on the way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from datastore.kinds.ipam import IPAMHandle
from datastore.kinds.pools import IPPool
from datastore.kube import client, listing
from datastore.kube.client import ApiClient
from datastore.kube.http2 import Response
from datastore.kube.store import KubeStore
from datastore.store import Listed
from datastore.summaries import HANDLES
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


class Pages(ApiClient):
    """Two pages of three objects, each answered at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def request(
        self, what: str, method: str, path: str, body: bytes = b"", content_type: str = "", accept: str = ""
    ) -> Response:
        self.asked.append(path)
        more = "" if "continue" in path else "rest"
        record = {"metadata": {"continue": more, "resourceVersion": "7"}, "items": [1, 2, 3]}
        return Response(200, {}, json.dumps(record).encode())


async def test_the_next_page_is_made_while_one_is_decoded_and_others_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "PORTION", 2)
    pages, turns = Pages(), 0
    seen: list[tuple[int, int]] = []

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def take(raw: msgspec.Raw) -> int:
        seen.append((len(pages.asked), turns))
        return int(bytes(raw))

    others = asyncio.create_task(other())
    assert await listing.list_all(pages, "list", "/all", {}, take) == ([1, 2, 3, 1, 2, 3], "7")
    others.cancel()
    assert [asked for asked, _ in seen] == [2] * 6
    assert len({turn for _, turn in seen}) == 4  # of two portions a page


@pytest.mark.parametrize("unanswered", [0, 1])
async def test_handles_are_asked_in_one_piece_and_by_pages_if_none_comes_in_time(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unanswered: int
) -> None:
    """Pages of handles cost a server eight times what a whole list does, which may be too long for it all the same."""
    monkeypatch.setattr(listing, "PAGE_SIZE", 2)
    writer = bed.open()
    for n in range(3):
        await writer.create(IPAMHandle.make(f"h{n}", handle_id=f"h{n}", block={"10.0.0.0/26": 1}, deleted=False))
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        reader = KubeStore(proxy.access)
        await reader.get(IPAMHandle, "h0")
        monkeypatch.setattr(client, "DEADLINE_SECONDS", 1.0 if unanswered else client.DEADLINE_SECONDS)
        proxy.faults.never_answer = unanswered
        handles = await writer.list(IPAMHandle)
        assert await reader.summarize(HANDLES) == Listed(tuple(map(HANDLES.of, handles.objects)))
        asked = [request.partition("ipamhandles")[2] for request in proxy.requests if "ipamhandles" in request]
        assert [query.partition("&")[0] for query in asked] == ["/h0", *(["?limit=2"] * 2 if unanswered else [""])]
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
