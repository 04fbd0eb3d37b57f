"""The little server, over its own sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from felix_py.pace import Pace
from felix_py.pages import web
from felix_py.pages.web import (
    MOST_CONNECTIONS,
    MOST_OF_ONE_STRANGER,
    REQUEST_BYTES,
    Page,
    PageMakers,
    PageRequest,
    Query,
    WebServer,
    parse_request,
    text_page,
)
from tests.felix_py.fakes import until
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


async def test_a_port_that_another_program_has_is_served_once_that_has_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web, "FIRST_RETRY_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        serving = WebServer(PAGES).kept_on("127.0.0.1", port, "the work goes on")
        await serving.__aenter__()
        await until(lambda: "Address already in use; the work goes on; next try in" in caplog.text)
    try:
        async with asyncio.timeout(20):
            while (connection := await _connected(port)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
        connection.close()
    finally:
        await serving.__aexit__(None, None, None)
    assert await _connected(port) is None


async def _connected(port: int) -> asyncio.StreamWriter | None:
    try:
        return (await asyncio.open_connection("127.0.0.1", port))[1]
    except OSError:
        return None


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


async def test_other_pages_are_served_without_a_new_socket(tmp_path: Path) -> None:
    path, made = tmp_path / "status.sock", WebServer({"/hello": broken})
    await made.listen_unix(path, 0o660)
    assert (await ask(path, b"GET /hello HTTP/1.0\r\n\r\n"))[0].startswith("HTTP/1.1 503")
    made.show(PAGES)
    assert (await ask(path, b"GET /hello HTTP/1.0\r\n\r\n"))[0].startswith("HTTP/1.1 200")
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


async def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="Address already in use"):
        await WebServer(PAGES).listen_tcp("127.0.0.1", taken.getsockname()[1])


class Door:
    """Admits whoever says `x-friend: yes`; keeps the others waiting where `shut`."""

    def __init__(self) -> None:
        self.opened, self.asked = asyncio.Event(), 0
        self.opened.set()

    async def admit(self, request: PageRequest) -> Page | None:
        self.asked += 1
        await self.opened.wait()
        if request.headers.get("x-friend") == "yes":
            return None
        return text_page(HTTPStatus.FORBIDDEN, f"{request.source} is no friend\n")


@asynccontextmanager
async def guarded(door: Door, pages: PageMakers = PAGES) -> AsyncIterator[int]:
    """Yield the port of a server that asks a door."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    made = WebServer(pages, admit=door.admit)
    await made.listen_tcp("127.0.0.1", port)
    try:
        yield port
    finally:
        await made.close()


async def ask_at(port: int, friend: str = "yes", page: str = "/hello", source: str = "127.0.0.1") -> tuple[str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(f"GET {page} HTTP/1.1\r\nX-Friend:  {friend}\r\n\r\n".encode())
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return head.partition("\r\n")[0], body


async def test_who_is_not_admitted_hears_why_and_no_page_is_made() -> None:
    async with guarded(Door()) as port:
        assert await ask_at(port) == ("HTTP/1.1 200 OK", "hello \n")
        assert await ask_at(port, "no") == ("HTTP/1.1 403 Forbidden", "127.0.0.1 is no friend\n")


async def test_one_stranger_has_a_few_places_and_the_next_is_turned_away() -> None:
    door = Door()
    async with guarded(door) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MOST_OF_ONE_STRANGER)]
        ended = [asyncio.create_task(reader.read()) for reader, _ in idle]
        await until(lambda: sum(task.done() for task in ended) == 2 * MOST_OF_ONE_STRANGER)
        assert (await ask_at(port, source="127.0.0.2"))[0] == "HTTP/1.1 200 OK", "another is not kept away by it"
        for _, writer in idle:
            writer.close()
        for task in ended:
            task.cancel()


async def test_who_is_admitted_is_not_closed_for_strangers_that_wait() -> None:
    """Nor does it take one of their places: its page comes to an end while more connect than are served at once."""
    going_on, door = asyncio.Event(), Door()

    async def slow(query: Query) -> Page:
        async def body() -> AsyncIterator[bytes]:
            yield b"begun "
            await going_on.wait()
            yield b"done"

        return Page(HTTPStatus.OK, "text/plain", body())

    async with guarded(door, {"/slow": slow}) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\nx-friend: yes\r\n\r\n")
        await reader.readuntil(b"begun ")
        door.opened.clear()
        strangers = [asyncio.create_task(ask_at(port, source=f"127.0.0.{10 + n}")) for n in range(2 * MOST_CONNECTIONS)]
        await until(lambda: door.asked > 2 * MOST_CONNECTIONS)  # the oldest were closed for those that came later
        going_on.set()
        assert await reader.read() == b"done"
        writer.close()
        for stranger in strangers:
            stranger.cancel()
        await asyncio.gather(*strangers, return_exceptions=True)


@pytest.mark.parametrize("head", [b"GET /hello HTTP/1.1", b"GET /hello HTTP/1.1\r\nno colon\r\n: nothing\r\nA:"])
def test_odd_headers_are_no_reason_to_fail(head: bytes) -> None:
    request = parse_request(head + b"\r\n\r\n", "192.0.2.1")
    assert (request.method, request.target, request.source) == ("GET", "/hello", "192.0.2.1")


def test_what_is_no_request_has_no_method() -> None:
    assert parse_request(b"nonsense\r\nX-Friend: yes\r\n\r\n").method == ""


def odd_requests(seed: int) -> list[bytes]:
    """What no client of ours sends: noise, and a good request that is damaged, cut short, or asks for odd things."""
    noise, good = random.Random(seed), b"GET /hello?name=x HTTP/1.1\r\nHost: felix\r\nAccept: */*\r\n\r\n"
    damaged = bytearray(good)
    for _ in range(5):
        damaged[noise.randrange(len(good))] = noise.randrange(256)
    return [
        noise.randbytes(5000),
        noise.randbytes(500) + b"\r\n\r\n",
        bytes(damaged) + b"\r\n\r\n",
        good[: noise.randrange(len(good))],
        b"GET /hello?" + b"&%ff=%" * 1000 + b" HTTP/1.1\r\n\r\n",
        b"GET //[::1/hello HTTP/1.1\r\n\r\n",
        b"\r\n" * 500,
    ]


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_others_send_a_page_is_served(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with server(tmp_path) as path:
        others = []
        for sent in odd_requests(seed):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(sent)
            others.append(writer)
        assert await ask(path, b"GET /hello?name=x HTTP/1.0\r\n\r\n") == (
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 8\r\nConnection: close",
            "hello x\n",
        )
        for writer in others:
            writer.transport.abort()
    gc.collect()  # a task that failed and that nobody asked is logged when it goes
    assert not [record for record in caplog.records if record.exc_info]
