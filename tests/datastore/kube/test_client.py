"""Requests when connections break, servers refuse and answers get lost."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import h2.errors
import pytest

from datastore.errors import NotFound, Unavailable
from datastore.kube import client
from datastore.kube.access import read_access
from datastore.kube.client import ApiClient
from tests.felix_py.fakes import until
from tests.kube.control_plane import kubeconfig
from tests.kube.h2_server import Handler, Request, make_certificate, server_tls, serving


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


async def never(request: Request) -> None:
    await request.wait()


async def refuse(request: Request) -> None:
    request.reset(h2.errors.ErrorCodes.REFUSED_STREAM)


async def later(request: Request) -> None:
    await request.answer(429, b"{}", retry_after="0")


async def missing(request: Request) -> None:
    await request.answer(404, json.dumps({"kind": "Status", "message": "not here"}).encode())


def client_of(folder: Path, url: str, **patience: float) -> ApiClient:
    path = folder / "kubeconfig"
    path.write_text(json.dumps(kubeconfig(url)))
    return ApiClient(lambda: read_access(str(path)), **patience)


async def ask(folder: Path, answers: Answers, method: str = "GET", **patience: float) -> bytes:
    async with serving(answers) as server:
        asking = client_of(folder, f"http://127.0.0.1:{server.port}/behind", **patience)
        try:
            return (await asking.request("try it", method, "/a", b"{}" if method != "GET" else b"")).body
        finally:
            await asking.close()


async def test_what_the_server_made_small_is_read_as_it_was(tmp_path: Path) -> None:
    async def small(request: Request) -> None:
        assert request.headers["accept-encoding"] == "gzip"
        await request.answer(200, gzip.compress(b"fine" * 1000), content_encoding="gzip")

    assert await ask(tmp_path, Answers(small)) == b"fine" * 1000


async def test_what_is_said_to_be_small_and_is_damaged_is_asked_for_again(tmp_path: Path) -> None:
    async def damaged(request: Request) -> None:
        await request.answer(200, gzip.compress(b"fine")[:-9], content_encoding="gzip")

    answers = Answers(damaged)
    assert await ask(tmp_path, answers) == b"fine"
    assert len(answers.seen) == 2


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
    with pytest.raises(Unavailable, match="no answer within"):
        await ask(tmp_path, Answers(never))


async def test_a_server_that_is_slow_is_waited_for(tmp_path: Path) -> None:
    async def slowly(request: Request) -> None:
        await asyncio.sleep(1.5)
        await ok(request)

    assert await ask(tmp_path, Answers(slowly), "PUT", patience_seconds=0.4) == b"fine"


async def test_time_in_which_this_process_did_not_run_is_not_the_servers(tmp_path: Path) -> None:
    async def while_we_are_stopped(request: Request) -> None:
        time.sleep(1.0)  # noqa: ASYNC251
        await asyncio.sleep(0.15)
        await ok(request)

    assert await ask(tmp_path, Answers(while_we_are_stopped), "PUT", patience_seconds=0.4) == b"fine"


async def test_a_server_that_hangs_is_given_up_long_before_the_deadline(tmp_path: Path) -> None:
    async def hang(request: Request) -> None:
        request.fall_silent()
        await request.wait()

    with pytest.raises(Unavailable, match="neither the request nor a ping"):
        await asyncio.wait_for(ask(tmp_path, Answers(hang), "PUT"), client.DEADLINE_SECONDS / 2)


async def test_a_server_that_hangs_is_not_asked_again_until_something_is_heard_of_it(tmp_path: Path) -> None:
    """The connection is kept meanwhile: what else is under way on it goes on if the server does."""
    go_on = asyncio.Event()

    async def hang(request: Request) -> None:
        request.fall_silent()
        await go_on.wait()
        request.speak_again()

    answers = Answers(hang)
    async with serving(answers) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.port}", patience_seconds=0.3)
        with pytest.raises(Unavailable, match="neither the request nor a ping within"):
            await asking.request("try it", "PUT", "/a", b"{}")
        kept = asking._connection
        for method in ("GET", "PUT"):
            with pytest.raises(Unavailable, match="the connection is silent"):
                await asking.request("try it", method, "/b")
        assert kept is not None and kept.usable and kept.is_silent
        assert answers.seen == ["PUT /a"]
        go_on.set()
        await until(lambda: kept is not None and not kept.is_silent)
        assert (await asking.request("try it", "PUT", "/c", b"{}")).body == b"fine"
        assert asking._connection is kept
        await asking.close()


async def test_a_silent_connection_is_given_up_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PING_SECONDS", 0.2)

    async def hang(request: Request) -> None:
        request.fall_silent()
        await request.wait()

    async with serving(Answers(hang)) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.port}", patience_seconds=0.3)
        with pytest.raises(Unavailable):
            await asking.request("try it", "PUT", "/a", b"{}")
        await until(lambda: not asking._judging)
        assert (await asking.request("try it", "PUT", "/b", b"{}")).body == b"fine"
        await asking.close()


async def test_a_server_that_takes_connections_and_says_nothing_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was stopped: the next request, to undo the one before, need not find that out again."""
    silent = socket.create_server(("127.0.0.1", 0))
    async with serving(ok) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.port}", patience_seconds=0.3)
        await asking.request("try it", "GET", "/a")
    monkeypatch.setattr(client, "ACCESS_SECONDS", 0.0)
    assert asking._connection
    asking._connection.close()  # it is at another address from now on, where nothing is said
    moved = kubeconfig(f"http://127.0.0.1:{silent.getsockname()[1]}")
    (tmp_path / "kubeconfig").write_text(json.dumps(moved))
    with silent:
        for _ in range(2):
            with pytest.raises(Unavailable, match="no connection to it could be made in time"):
                await asking.request("try it", "PUT", "/a", b"{}")
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
        await asking.close()


async def test_a_server_that_is_not_there_is_unavailable_at_once(tmp_path: Path) -> None:
    async with serving(ok) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.port}")
    with pytest.raises(Unavailable, match=r"refused|Connect call failed"):
        await asyncio.wait_for(asking.request("try it", "GET", "/a"), client.DEADLINE_SECONDS / 2)
    await asking.close()


async def test_a_closed_client_asks_nothing(tmp_path: Path) -> None:
    asking = ApiClient(lambda: read_access(str(tmp_path / "none")))
    await asking.close()
    with pytest.raises(Unavailable, match="the datastore is closed"):
        await asking.request("try it", "GET", "/a")


async def test_too_many_requests_for_longer_than_there_is_time_are_said_to_be_that(tmp_path: Path) -> None:
    async def much_later(request: Request) -> None:
        await request.answer(429, b'{"message": "too many requests"}', retry_after="60")

    with pytest.raises(Unavailable, match=r"too many requests \(429\)"):
        await asyncio.wait_for(ask(tmp_path, Answers(much_later)), client.DEADLINE_SECONDS / 2)


async def test_a_server_that_always_breaks_the_connection_is_said_to_do_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 4.0)
    with pytest.raises(Unavailable, match="the server closed the connection"):
        await ask(tmp_path, Answers(*[cut] * 100))


async def test_what_ended_the_try_before_is_said_where_there_is_no_time_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 4.0)
    with pytest.raises(Unavailable, match="no answer within 4 s; before that, the server closed the connection"):
        await ask(tmp_path, Answers(cut, never))


async def test_a_server_that_speaks_http1_is_named_at_once(tmp_path: Path) -> None:
    async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(http1, "127.0.0.1", 0) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(Unavailable, match=r"HTTP/1\.1 and not HTTP/2"):
            await asyncio.wait_for(asking.request("try it", "GET", "/a"), client.DEADLINE_SECONDS / 2)
        await asking.close()


async def test_all_who_want_a_connection_share_the_attempt(tmp_path: Path) -> None:
    async with serving(ok) as server:
        asking = client_of(tmp_path, f"http://127.0.0.1:{server.port}")
        await asyncio.gather(*(asking.request("try it", "GET", "/a") for _ in range(20)))
        assert len(server.connections) == 1
        server.cut()
        await asyncio.gather(*(asking.request("try it", "GET", "/a") for _ in range(20)))
        assert len(server.connections) == 2
        await asking.close()


async def test_a_server_that_has_moved_is_found_where_the_file_says_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ACCESS_SECONDS", 0.0)
    path = tmp_path / "kubeconfig"
    asking = ApiClient(lambda: read_access(str(path)))
    for _ in range(2):
        async with serving(ok) as server:
            path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
            assert (await asking.request("try it", "GET", "/a")).body == b"fine"
    await asking.close()


async def test_a_file_that_cannot_be_read_just_now_leaves_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client, "ACCESS_SECONDS", 0.0)
    path = tmp_path / "kubeconfig"
    async with serving(ok) as server:
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        asking = ApiClient(lambda: read_access(str(path)))
        await asking.request("try it", "GET", "/a")
        path.write_text("")
        server.cut()
        assert (await asking.request("try it", "GET", "/a")).body == b"fine"
        assert "what was read before is used" in caplog.text
        await asking.close()


async def test_a_replaced_authority_is_read_after_the_first_handshake_that_fails(tmp_path: Path) -> None:
    """The file may change after the connection was lost, so the last reading may be of a moment ago."""
    path, authority = tmp_path / "kubeconfig", tmp_path / "ca.crt"
    certificate, key = make_certificate(tmp_path)
    authority.write_bytes(certificate.read_bytes())
    async with serving(ok, server_tls(certificate, key)) as server:
        port = server.port
        path.write_text(json.dumps(kubeconfig(f"https://127.0.0.1:{port}", authority)))
        asking = ApiClient(lambda: read_access(str(path)))
        await asking.request("try it", "GET", "/a")
    (tmp_path / "new").mkdir()
    certificate, key = make_certificate(tmp_path / "new")
    async with serving(ok, server_tls(certificate, key), port) as server:
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await asking.request("try it", "GET", "/a")
        authority.write_bytes(certificate.read_bytes())
        assert (await asking.request("try it", "GET", "/a")).body == b"fine"
    await asking.close()


async def test_who_we_are_is_read_anew_without_breaking_off_what_is_under_way(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def refused(request: Request) -> None:
        if request.path == "/slow":
            begun.set()
            await go_on.wait()
            await ok(request)
        elif request.headers["authorization"] == "Bearer new":
            await ok(request)
        else:
            await request.answer(401, b"{}")

    async with serving(refused) as server:
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}", token="old")))
        asking = ApiClient(lambda: read_access(str(path)))
        slow = asyncio.create_task(asking.request("try it", "PUT", "/slow"))
        await begun.wait()
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}", token="new")))
        answers = await asyncio.gather(*(asking.request("try it", "PUT", "/a") for _ in range(10)))
        assert {answer.body for answer in answers} == {b"fine"} and len(server.connections) == 2
        go_on.set()
        assert (await slow).body == b"fine"
        await asking.close()


async def test_a_renewed_client_certificate_is_shown_by_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ACCESS_SECONDS", 0.0)
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "clients").mkdir()
    (tmp_path / "renewed").mkdir()
    first, renewed = (make_certificate(tmp_path / folder, "agent") for folder in ("clients", "renewed"))
    tls = server_tls(certificate, key)
    tls.verify_mode = ssl.CERT_REQUIRED
    for shown, _ in (first, renewed):
        tls.load_verify_locations(shown)
    async with serving(ok, tls) as server:
        record: dict[str, Any] = dict(kubeconfig(f"https://127.0.0.1:{server.port}", certificate))
        record["users"][0]["user"] = {"client-certificate": str(first[0]), "client-key": str(first[1])}
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(record))
        asking = ApiClient(lambda: read_access(str(path)))
        expected = [ssl.PEM_cert_to_DER_cert(shown.read_text()) for shown, _ in (first, renewed)]
        await asking.request("try it", "GET", "/a")
        for old, new in zip(first, renewed, strict=True):
            old.write_bytes(new.read_bytes())
        server.cut()
        await asking.request("try it", "GET", "/a")
        assert [connection.client_certificate for connection in server.connections] == expected
        await asking.close()
