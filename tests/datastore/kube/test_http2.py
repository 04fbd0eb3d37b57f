"""One connection against a server that does whatever a server may do."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h2.errors
import pytest

from datastore.kube import http2
from datastore.kube.http2 import ConnectionLost, Http2Connection, NoHttp2, connect
from tests.kube.h2_server import H2Server, Handler, Request, make_certificate, server_tls, serving


@asynccontextmanager
async def connected(handle: Handler) -> AsyncIterator[tuple[Http2Connection, H2Server]]:
    async with serving(handle) as server:
        connection = await connect("127.0.0.1", server.port, "server", None)
        try:
            yield connection, server
        finally:
            connection.close()


async def echo(request: Request) -> None:
    await request.answer(200, f"{request.method} {request.path} ".encode() + request.body, kind="echo")


async def test_a_request_gets_its_answer() -> None:
    async with connected(echo) as (connection, _):
        response = await connection.request("PUT", "/a?b=c", {"x": "y"}, b"body")
        assert (response.status, response.headers["kind"], response.body) == (200, "echo", b"PUT /a?b=c body")


def pieces_written(connection: Http2Connection, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list to which what the connection writes from now on is added, piece by piece."""
    written: list[bytes] = []
    assert connection._transport
    write = connection._transport.write

    def note(data: bytes) -> None:
        written.append(bytes(data))
        write(data)

    monkeypatch.setattr(connection._transport, "write", note)
    return written


async def test_a_request_and_its_body_are_sent_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece is a record of TLS and a system call, and an ADD waits for two such requests."""
    async with connected(echo) as (connection, _):
        await connection.request("GET", "/")
        written = pieces_written(connection, monkeypatch)
        assert (await connection.request("PUT", "/a", body=b"body")).body == b"PUT /a body"
    assert [b"body" in each for each in written][:1] == [True]


async def test_a_token_is_written_once_however_many_paths_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a service account has a thousand letters, and to code them takes longer than all else of a request."""
    token = {"authorization": f"Bearer {'t' * 1000}"}

    async def show(request: Request) -> None:
        await request.answer(200, request.headers["authorization"].encode())

    async with connected(show) as (connection, _):
        written = pieces_written(connection, monkeypatch)
        for number in range(100):
            answer = await connection.request("GET", f"/apis/{'long' * 20}/{number}", token)
            assert answer.body.decode() == token["authorization"]
    assert b"".join(written).count(token["authorization"].encode()) == 1


async def test_a_token_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected(echo) as (connection, _):
        await connection.request("GET", "/a", {"authorization": "Bearer of-the-test"})
    assert "of-the-test" not in caplog.text


async def test_the_name_of_a_header_field_is_sent_in_small_letters() -> None:
    async def show(request: Request) -> None:
        await request.answer(200, request.headers["x-felix-token"].encode())

    async with connected(show) as (connection, _):
        assert (await connection.request("GET", "/", {"X-Felix-Token": "abc"})).body == b"abc"


async def test_many_requests_are_answered_side_by_side() -> None:
    async with connected(echo) as (connection, _):
        answers = await asyncio.gather(*(connection.request("GET", f"/{n}") for n in range(500)))
        assert [answer.body for answer in answers] == [f"GET /{n} ".encode() for n in range(500)]


async def test_a_body_larger_than_every_window_arrives_whole_both_ways() -> None:
    body = bytes(range(256)) * 20_000
    async with connected(echo) as (connection, _):
        response = await asyncio.wait_for(connection.request("POST", "/", body=body), 30)
        assert response.body == b"POST / " + body


async def test_an_answer_can_be_read_while_it_arrives() -> None:
    more = asyncio.Event()

    async def handle(request: Request) -> None:
        request.begin(200)
        await request.send(b"one")
        await more.wait()
        await request.send(b"two")
        request.finish()

    async with connected(handle) as (connection, _), connection.stream("GET", "/") as stream:
        assert await connection.read(stream) == b"one"
        more.set()
        assert await connection.read(stream) == b"two"
        assert await connection.read(stream) == b""


async def test_a_stream_that_is_left_is_ended_at_the_server_and_the_connection_goes_on() -> None:
    ended = asyncio.Event()

    async def handle(request: Request) -> None:
        if request.path != "/endless":
            await echo(request)
            return
        request.begin(200)
        try:
            while True:
                await request.send(b"x" * 100_000)
        finally:
            ended.set()

    async with connected(handle) as (connection, _):
        for _ in range(30):  # more than the connection's window, were what was not read never given back
            async with connection.stream("GET", "/endless") as stream:
                await connection.read(stream)
            await asyncio.wait_for(ended.wait(), 30)
            ended.clear()
        assert (await asyncio.wait_for(connection.request("GET", "/a"), 30)).status == 200


async def test_a_slow_reader_holds_up_nobody_else() -> None:
    async def handle(request: Request) -> None:
        if request.path == "/much":
            await request.answer(200, b"x" * 4 * http2.STREAM_WINDOW)
        else:
            await echo(request)

    async with connected(handle) as (connection, _), connection.stream("GET", "/much") as slow:
        await connection.read(slow)
        assert (await asyncio.wait_for(connection.request("GET", "/a"), 30)).body == b"GET /a "


@pytest.mark.parametrize(
    ("code", "may_have_run"),
    [(h2.errors.ErrorCodes.REFUSED_STREAM, False), (h2.errors.ErrorCodes.INTERNAL_ERROR, True)],
)
async def test_a_request_that_the_server_resets_is_lost(code: h2.errors.ErrorCodes, may_have_run: bool) -> None:
    async def handle(request: Request) -> None:
        request.reset(code)

    async with connected(handle) as (connection, _):
        with pytest.raises(ConnectionLost) as lost:
            await connection.request("PUT", "/")
        assert lost.value.may_have_run is may_have_run
        assert connection.usable


async def test_a_server_that_goes_away_finishes_what_it_has_begun_and_takes_no_more() -> None:
    async def handle(request: Request) -> None:
        if request.path == "/first":
            request.go_away(last=1)
            await asyncio.sleep(0)
        await echo(request)

    async with connected(handle) as (connection, _):
        first = asyncio.create_task(connection.request("GET", "/first"))
        second = asyncio.create_task(connection.request("PUT", "/second"))
        assert (await first).body == b"GET /first "
        with pytest.raises(ConnectionLost) as lost:
            await second
        assert not lost.value.may_have_run
        assert not connection.usable


async def test_a_connection_that_breaks_ends_what_is_under_way() -> None:
    async def handle(request: Request) -> None:
        request.cut()

    async with connected(handle) as (connection, _):
        with pytest.raises(ConnectionLost) as lost:
            await connection.request("PUT", "/")
        assert lost.value.may_have_run
        with pytest.raises(ConnectionLost) as later:
            await connection.request("PUT", "/")
        assert not later.value.may_have_run


async def test_a_server_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "PING_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(http2, "LOST_AFTER_SECONDS", 0.3)
    asked = asyncio.Event()

    async def handle(request: Request) -> None:
        asked.set()
        await request.wait()

    async with connected(handle) as (connection, server):
        waiting = asyncio.create_task(connection.request("GET", "/"))
        await asked.wait()
        await asyncio.sleep(0.6)
        assert not waiting.done()  # pings are answered: it is slow, not gone
        server.go_silent()
        with pytest.raises(ConnectionLost, match="silent"):
            await asyncio.wait_for(waiting, 30)


async def test_a_server_that_answers_in_http1_is_named_so() -> None:
    async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(http1, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NoHttp2, match=r"HTTP/1\.1 and not HTTP/2"):
            await connect("127.0.0.1", server.sockets[0].getsockname()[1], "server", None)


@pytest.mark.parametrize("protocols", [("http/1.1",), ("h3", "http/1.1")])
async def test_a_server_that_agrees_to_no_http2_is_named_so(tmp_path: Path, protocols: tuple[str, ...]) -> None:
    certificate, key = make_certificate(tmp_path)
    offered = ssl.create_default_context(cafile=str(certificate))
    offered.set_alpn_protocols(["h2"])
    async with serving(echo, server_tls(certificate, key, *protocols)) as server:
        with pytest.raises(NoHttp2, match=r"HTTP/1\.1 and not HTTP/2"):
            await connect("127.0.0.1", server.port, "server", offered)


async def test_a_stream_without_end_makes_room_for_a_server_that_goes_away() -> None:
    """Else the server, and whoever waits for its end, would be kept for as long as the stream lasts."""
    leaving, ended = asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> None:
        request.begin(200)
        await request.send(b"one")
        await leaving.wait()
        request.go_away(last=1)
        try:
            await request.wait()
        finally:
            ended.set()

    async with connected(handle) as (connection, _), connection.stream("GET", "/", endless=True) as stream:
        assert await connection.read(stream) == b"one"
        leaving.set()
        assert await asyncio.wait_for(connection.read(stream), 30) == b""
        await asyncio.wait_for(ended.wait(), 30)
        assert not connection.usable


async def test_a_retired_connection_finishes_what_is_under_way() -> None:
    go_on = asyncio.Event()

    async def handle(request: Request) -> None:
        await go_on.wait()
        await echo(request)

    async with connected(handle) as (connection, _):
        asked = asyncio.create_task(connection.request("PUT", "/a"))
        await asyncio.sleep(0)
        connection.retire("it was replaced")
        assert await connection.answers_pings(30)  # else whoever waits for a slow answer gives it up
        go_on.set()
        assert (await asyncio.wait_for(asked, 30)).body == b"PUT /a "
        with pytest.raises(ConnectionLost, match="it was replaced"):
            await connection.request("PUT", "/b")


async def test_a_server_that_goes_away_and_is_slow_with_what_it_has_begun_answers_pings() -> None:
    left, go_on = asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> None:
        request.go_away(last=1)
        left.set()
        await go_on.wait()
        await echo(request)

    async with connected(handle) as (connection, _):
        asked = asyncio.create_task(connection.request("PUT", "/a"))
        await left.wait()
        assert await connection.answers_pings(30)
        assert not connection.usable
        go_on.set()
        assert (await asyncio.wait_for(asked, 30)).body == b"PUT /a "
