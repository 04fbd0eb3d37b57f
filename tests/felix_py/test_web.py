"""The little server, over its own sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from felix_py.pace import Pace
from felix_py.web import MOST_CONNECTIONS, REQUEST_BYTES, Page, Query, WebServer, text_page
from tests.felix_py.test_pace import Attaching, turns


async def hello(query: Query) -> Page:
    return text_page(HTTPStatus.OK, f"hello {query.get('name', '')}\n")


async def long_page(query: Query) -> Page:
    async def body() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"{number} ".encode()

    return Page(HTTPStatus.OK, "text/plain", body())


async def broken(query: Query) -> Page:
    raise ValueError("a page that cannot be made")


PAGES = {"/hello": hello, "/long": long_page, "/broken": broken}


@asynccontextmanager
async def server(tmp_path: Path) -> AsyncIterator[Path]:
    path, made = tmp_path / "run" / "status.sock", WebServer(PAGES)
    await made.listen_unix(path, 0o660)
    try:
        yield path
    finally:
        await made.close()


async def ask(path: Path, request: bytes) -> tuple[str, str]:
    """Return the head and the body of the answer, as far as the end of the connection."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return head, body


async def test_a_page_is_made_for_its_query(tmp_path: Path) -> None:
    async with server(tmp_path) as path:
        head, body = await ask(path, b"GET /hello?name=you HTTP/1.0\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert body == "hello you\n"


async def test_a_page_in_pieces_is_sent_without_its_length_and_ends_with_the_connection(tmp_path: Path) -> None:
    async with server(tmp_path) as path:
        head, body = await ask(path, b"GET /long HTTP/1.1\r\nHost: felix\r\n\r\n")
    assert "Content-Length" not in head and "Connection: close" in head
    assert body == "0 1 2 "


async def test_a_head_request_gets_no_body(tmp_path: Path) -> None:
    async with server(tmp_path) as path:
        head, body = await ask(path, b"HEAD /hello HTTP/1.0\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK") and body == ""


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /nothing HTTP/1.0", "404", "no page /nothing; pages: /broken /hello /long\n"),
        (b"POST /hello HTTP/1.0", "405", "only GET is answered\n"),
        (b"nonsense", "405", "only GET is answered\n"),
    ],
)
async def test_what_is_no_page_is_a_sentence(tmp_path: Path, request_line: bytes, status: str, body: str) -> None:
    async with server(tmp_path) as path:
        head, answered = await ask(path, request_line + b"\r\n\r\n")
    assert head.split()[1] == status
    assert answered == body


async def test_a_page_that_fails_says_why_and_ends_nothing(tmp_path: Path) -> None:
    async with server(tmp_path) as path:
        head, body = await ask(path, b"GET /broken HTTP/1.0\r\n\r\n")
        assert head.startswith("HTTP/1.1 503")
        assert body == "/broken: a page that cannot be made; try again\n"
        assert (await ask(path, b"GET /hello HTTP/1.0\r\n\r\n"))[0].startswith("HTTP/1.1 200")


async def test_all_who_ask_at_once_get_one_answer_and_those_beyond_wait(tmp_path: Path) -> None:
    path, asked, go = tmp_path / "status.sock", 0, asyncio.Event()

    async def slow(query: Query) -> Page:
        nonlocal asked
        asked += 1
        await go.wait()
        return text_page(HTTPStatus.OK, "done\n")

    made = WebServer({"/slow": slow})
    await made.listen_unix(path, 0o660)
    asking = [asyncio.create_task(ask(path, b"GET /slow HTTP/1.0\r\n\r\n")) for _ in range(2 * MOST_CONNECTIONS)]
    await turns(500)
    assert (asked, sum(task.done() for task in asking)) == (1, 0)
    go.set()
    assert [body for _, body in await asyncio.gather(*asking)] == ["done\n"] * len(asking)
    assert asked <= 1 + MOST_CONNECTIONS  # those beyond asked later
    await made.close()


async def test_connections_without_a_request_keep_no_other_away_for_long(tmp_path: Path) -> None:
    async with server(tmp_path) as path:
        idle = [await asyncio.open_unix_connection(path) for _ in range(3 * MOST_CONNECTIONS)]
        assert (await ask(path, b"GET /hello HTTP/1.0\r\n\r\n"))[0].startswith("HTTP/1.1 200")
        for _, writer in idle:
            writer.close()


async def test_a_request_without_end_gets_no_answer(tmp_path: Path) -> None:
    async with server(tmp_path) as path:
        with contextlib.suppress(ConnectionError):
            assert await ask(path, b"GET /hello" + b"o" * (2 * REQUEST_BYTES)) == ("", "")


async def test_pages_wait_for_pods_that_are_being_attached(tmp_path: Path) -> None:
    path, attaching = tmp_path / "status.sock", Attaching()
    made = WebServer(PAGES, Pace(attaching))
    await made.listen_unix(path, 0o660)
    asking = asyncio.create_task(ask(path, b"GET /hello HTTP/1.0\r\n\r\n"))
    await turns(50)
    assert not asking.done()
    attaching.quiet.set()
    assert (await asking)[0].startswith("HTTP/1.1 200")
    await made.close()


async def test_a_client_that_leaves_without_a_request_ends_nothing(tmp_path: Path) -> None:
    async with server(tmp_path) as path:
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()
        assert (await ask(path, b"GET /hello HTTP/1.0\r\n\r\n"))[0].startswith("HTTP/1.1 200")


async def test_a_stale_socket_is_replaced_and_has_the_mode_asked_for(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "run" / "status.sock"))
    async with server(tmp_path) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (await ask(path, b"GET /hello HTTP/1.0\r\n\r\n"))[0].startswith("HTTP/1.1 200")


async def test_a_port_that_is_taken_is_a_warning_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        await WebServer(PAGES).listen_tcp("127.0.0.1", port)
    assert f"serve health on 127.0.0.1 port {port}: Address already in use; only the socket serves it" in caplog.text
