"""Requests when connections break, servers refuse and answers get lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import h2.errors
import pytest

from datastore.errors import NotFound, Unavailable
from datastore.kube import client
from datastore.kube.access import read_access
from datastore.kube.client import ApiClient
from tests.kube.control_plane import kubeconfig
from tests.kube.h2_server import Handler, Request, serving


class Answers:
    """A server that answers a request by each of these in turn, then by 200."""

    def __init__(self, *steps: Handler) -> None:
        self.steps = list(steps)
        self.seen: list[str] = []

    async def __call__(self, request: Request) -> None:
        self.seen.append(f"{request.method} {request.path}")
        await (self.steps.pop(0) if self.steps else ok)(request)


async def ok(request: Request) -> None:
    await request.answer(200, b"fine")


async def cut(request: Request) -> None:
    request.cut()


async def refuse(request: Request) -> None:
    request.reset(h2.errors.ErrorCodes.REFUSED_STREAM)


async def later(request: Request) -> None:
    await request.answer(429, b"{}", retry_after="0")


async def missing(request: Request) -> None:
    await request.answer(404, json.dumps({"kind": "Status", "message": "not here"}).encode())


async def ask(folder: Path, answers: Answers, method: str = "GET") -> bytes:
    async with serving(answers) as server:
        path = folder / "kubeconfig"
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}/behind")))
        asking = ApiClient(lambda: read_access(str(path)))
        try:
            return (await asking.request("try it", method, "/a", b"{}" if method != "GET" else b"")).body
        finally:
            await asking.close()


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("step", [later, refuse])
async def test_what_was_not_carried_out_is_asked_again(tmp_path: Path, method: str, step: Handler) -> None:
    answers = Answers(step, step)
    assert await ask(tmp_path, answers, method) == b"fine"
    assert answers.seen == [f"{method} /behind/a"] * 3


async def test_a_read_whose_answer_was_lost_is_asked_again(tmp_path: Path) -> None:
    answers = Answers(cut, cut)
    assert await ask(tmp_path, answers) == b"fine"
    assert len(answers.seen) == 3


async def test_a_write_whose_answer_was_lost_is_not_sent_twice(tmp_path: Path) -> None:
    answers = Answers(cut)
    with pytest.raises(Unavailable, match=r"try it: the API server at 127\.0\.0\.1"):
        await ask(tmp_path, answers, "PUT")
    assert len(answers.seen) == 1


async def test_a_refusal_is_raised_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="try it: not here"):
        await ask(tmp_path, Answers(missing))


async def test_no_answer_in_time_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 0.3)

    async def never(request: Request) -> None:
        await request.wait()

    with pytest.raises(Unavailable, match="no answer within"):
        await ask(tmp_path, Answers(never))


async def test_a_server_that_is_slow_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SLOW_SECONDS", 0.05)

    async def slowly(request: Request) -> None:
        await asyncio.sleep(0.5)
        await ok(request)

    assert await ask(tmp_path, Answers(slowly), "PUT") == b"fine"


async def test_a_server_that_hangs_is_given_up_long_before_the_deadline(tmp_path: Path) -> None:
    async def hang(request: Request) -> None:
        request.fall_silent()
        await request.wait()

    with pytest.raises(Unavailable, match="neither the request nor a ping"):
        await asyncio.wait_for(ask(tmp_path, Answers(hang), "PUT"), client.DEADLINE_SECONDS / 2)


async def test_a_server_that_is_not_there_is_unavailable_at_once(tmp_path: Path) -> None:
    async with serving(ok) as server:
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
    asking = ApiClient(lambda: read_access(str(path)))
    with pytest.raises(Unavailable, match=r"refused|Connect call failed"):
        await asyncio.wait_for(asking.request("try it", "GET", "/a"), client.DEADLINE_SECONDS / 2)
    await asking.close()


async def test_a_closed_client_asks_nothing(tmp_path: Path) -> None:
    asking = ApiClient(lambda: read_access(str(tmp_path / "none")))
    await asking.close()
    with pytest.raises(Unavailable, match="the datastore is closed"):
        await asking.request("try it", "GET", "/a")
