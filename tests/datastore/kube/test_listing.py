"""A list by pages whose place in the collection is forgotten on the way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from datastore.kinds.ipam import IPAMHandle
from datastore.kinds.pools import IPPool
from datastore.kube import client, listing
from datastore.kube.client import ApiClient
from datastore.kube.http2 import Response
from datastore.kube.list_message import MEDIA_TYPE
from datastore.kube.page import PAGE_SIZE
from datastore.kube.pod_message import PodMessage
from datastore.kube.pods import read_pod
from datastore.kube.store import KubeStore
from datastore.store import Listed
from datastore.summaries import HANDLES
from tests.datastore.kube.test_client import Answers, client_of
from tests.datastore.kube.test_list_message import field, message
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import faulty_proxy
from tests.kube.h2_server import Handler, Request, serving


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

    async def request(self, what: str, method: str, path: str, *rest: Any, **named: Any) -> Response:
        self.asked.append(path)
        more = "" if "continue" in path else "rest"
        record = {"metadata": {"continue": more, "resourceVersion": "7"}, "items": [1, 2, 3]}
        named["begin"]({})(json.dumps(record).encode())
        return Response(200, {}, b"")


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
async def test_handles_are_asked_as_one_table_and_by_pages_if_none_comes_in_time(
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
        table = ["?includeObject=None&limit=1", "?includeObject=None"]
        pages = ["?limit=2", "?limit=2"]
        assert [query.partition("&continue")[0] for query in asked] == ["/h0", *(pages if unanswered else table)]
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


async def with_other_columns(request: Request) -> None:
    await request.answer(200, b'{"columnDefinitions": [{"name": "Name"}, {"name": "Age"}], "rows": []}')


async def test_a_table_without_our_columns_is_asked_for_no_more_than_one_row(tmp_path: Path) -> None:
    answers = Answers(with_other_columns)
    async with serving(answers) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.port}")
        assert await listing.list_handles(asking, "list", "/handles") is None
        await asking.close()
    assert answers.seen == ["GET /handles?includeObject=None&limit=1"]


def pod_messages(*names: str) -> bytes:
    """Return a list of pods that have names and nothing else."""
    return message(*(field(1, field(1, name.encode())) for name in names))


async def names_listed(folder: Path, *steps: Handler) -> tuple[list[str], list[str]]:
    """Return the names of the pods that such a server lists, and what it was asked."""
    answers = Answers(*steps)
    async with serving(answers) as server:
        asking = client_of(folder, f"http://127.0.0.1:{server.port}")
        found = await listing.list_pods(asking, "list", "/pods", {}, name_of)
        await asking.close()
    return found, [asked.removeprefix("GET ") for asked in answers.seen]


def name_of(raw: msgspec.Raw | PodMessage) -> str:
    return raw.outline().name if isinstance(raw, PodMessage) else read_pod(raw).metadata.name


async def in_messages(request: Request) -> None:
    assert request.headers["accept"].startswith(MEDIA_TYPE)
    await request.answer(200, pod_messages("a", "b"), content_type=MEDIA_TYPE)


async def as_text(request: Request) -> None:
    items = [{"metadata": {"name": name, "namespace": "n"}} for name in ("a", "b")]
    await request.answer(200, json.dumps({"metadata": {}, "items": items}).encode(), content_type="application/json")


async def damaged(request: Request) -> None:
    await request.answer(200, pod_messages("old", "b")[:-9], content_type=MEDIA_TYPE)


async def test_pods_are_asked_in_protobuf_and_in_one_piece(tmp_path: Path) -> None:
    assert await names_listed(tmp_path, in_messages) == (["a", "b"], ["/pods"])


@pytest.mark.parametrize("first", [as_text, damaged])
async def test_a_server_that_sends_pods_in_another_form_is_asked_by_pages(tmp_path: Path, first: Handler) -> None:
    pages = f"/pods?limit={PAGE_SIZE}"
    assert await names_listed(tmp_path, first, as_text) == (["a", "b"], ["/pods", pages])


async def test_a_long_list_is_waited_for_as_long_as_more_of_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 2.0)

    async def slowly(request: Request) -> None:
        request.begin(200, content_type=MEDIA_TYPE)
        text = pod_messages("a", "b")
        for at in range(0, len(text), 8):
            await request.send(text[at : at + 8])
            await asyncio.sleep(0.45)
        request.finish()

    assert await names_listed(tmp_path, slowly) == (["a", "b"], ["/pods"])


@pytest.mark.parametrize("lost", [False, True])
async def test_pods_are_taken_while_they_arrive_and_anew_where_the_rest_is_lost(tmp_path: Path, lost: bool) -> None:
    taken = asyncio.Event()

    async def halves(request: Request) -> None:
        text = pod_messages("old", "b")
        request.begin(200, content_type=MEDIA_TYPE)
        await request.send(text[:-9])
        await taken.wait()
        if lost:
            request.cut()
        else:
            await request.send(text[-9:])
            request.finish()

    def take(raw: msgspec.Raw | PodMessage) -> str:
        taken.set()
        return name_of(raw)

    async with serving(Answers(halves, in_messages)) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.port}")
        assert await listing.list_pods(asking, "list", "/pods", {}, take) == ["a" if lost else "old", "b"]
        await asking.close()
