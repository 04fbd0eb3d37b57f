"""A few read-only pages over HTTP, on a unix socket and on one TCP port: for probes, scrapers and felixctl.

An edge that does not know what it serves. GET and HEAD only, one request a connection. A page that is not made in one
piece is sent without its length, and ends where the connection ends. Anybody on the machine may ask: so connections are
few, the others wait in the kernel, all who ask for a page at once get one answer, and its work is done at a pace that
leaves the loop to pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from felix_py.pace import Pace

log = logging.getLogger("felix.web")

MOST_CONNECTIONS = 16  # at one time, of each listener: descriptors belong to pods
LEAST_SECONDS = 1.0  # that a connection may take while others wait
WAITING = 128  # connections that the kernel keeps meanwhile
REQUEST_SECONDS = 5.0  # for the request, for making a page, and for each piece of it that is sent
REQUEST_BYTES = 1 << 14


class Page(NamedTuple):
    status: HTTPStatus
    content_type: str
    body: bytes | AsyncIterator[bytes]


Query = Mapping[str, str]
PageMakers = Mapping[str, Callable[[Query], Awaitable[Page]]]


class WebServer:
    """Serves pages by path; each is made for the query behind it."""

    def __init__(self, pages: PageMakers, pace: Pace | None = None) -> None:
        self._pages, self._pace = pages, pace or Pace()
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._making: dict[str, asyncio.Task[Page]] = {}

    async def listen_unix(self, path: Path, mode: int) -> None:
        """Serve on a socket file, replacing a stale one. mode: who may connect, as of chmod."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(path))
            os.chmod(path, mode)
        except OSError:
            listener.close()
            raise
        self._listen(listener)

    async def listen_tcp(self, host: str, port: int) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for family, address in dict.fromkeys((one[0], one[4]) for one in found):
                self._listen(socket.create_server(address, family=family))  # IPv6 without IPv4: that has its own
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            log.warning("serve health on %s port %d: %s; only the socket serves it", host, port, reason)

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listen(self, listener: socket.socket) -> None:
        listener.listen(WAITING)
        listener.setblocking(False)
        self._listeners.append(listener)
        self._start(self._pace.run(self._accept(listener)))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener: socket.socket) -> None:
        """Serve connections, a few at a time. While others wait, the oldest one is closed when it has had its time."""
        loop = asyncio.get_running_loop()
        serving: dict[asyncio.Task[None], float] = {}  # by age
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("accept a connection for a page: %s; next try in 0.1 s", error)
                await asyncio.sleep(0.1)
                continue
            while len(serving) >= MOST_CONNECTIONS:
                oldest, since = next(iter(serving.items()))
                await asyncio.wait(serving, timeout=since + LEAST_SECONDS - loop.time(), return_when="FIRST_COMPLETED")
                if len(serving) >= MOST_CONNECTIONS and loop.time() >= since + LEAST_SECONDS:
                    oldest.cancel()
            task = self._start(self._pace.run(self._serve(connection)))
            serving[task] = loop.time()
            task.add_done_callback(serving.pop)
            await asyncio.sleep(0)

    async def _serve(self, connection: socket.socket) -> None:
        with (
            connection,
            contextlib.suppress(TimeoutError, OSError),
        ):  # a client that does not ask or read gets no answer
            async with asyncio.timeout(REQUEST_SECONDS):
                request = (await _request(connection)).decode("latin-1").partition("\r\n")[0]
            page = await self._answer(request)
            await _send(connection, _head(page))
            if not request.startswith("HEAD "):
                async for piece in _pieces(page.body):
                    await _send(connection, piece)

    async def _answer(self, request: str) -> Page:
        match request.split():
            case ["GET" | "HEAD", target, _] if (make := self._pages.get(target.partition("?")[0])) is not None:
                return await self._page(target, make)
            case ["GET" | "HEAD", target, _]:
                known = " ".join(sorted(self._pages))
                return text_page(HTTPStatus.NOT_FOUND, f"no page {target}; pages: {known}\n")
        return text_page(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered\n")

    async def _page(self, target: str, make: Callable[[Query], Awaitable[Page]]) -> Page:
        """Return the page, one for all who ask while it is made; why there is none, if it fails or takes too long."""
        query = dict(parse_qsl(target.partition("?")[2]))
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                if (making := self._making.get(target)) is not None:
                    page = await asyncio.shield(making)
                    return page if isinstance(page.body, bytes) else await make(query)  # pieces are read once
                self._making[target] = making = asyncio.create_task(self._pace.run(_coroutine(make, query)))
                making.add_done_callback(lambda done: self._made(target, done))
                return await asyncio.shield(making)
        except TimeoutError:
            text = f"{target}: it was not made within {REQUEST_SECONDS:g} s; try again\n"
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, text)
        except Exception as error:
            log.debug("make the page %s", target, exc_info=error)
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, f"{target}: {error}; try again\n")

    def _made(self, target: str, making: asyncio.Future[Page]) -> None:
        del self._making[target]
        if not making.cancelled():
            making.exception()  # those who still wait get it


def text_page(status: HTTPStatus, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", text.encode())


def _head(page: Page) -> bytes:
    length = f"Content-Length: {len(page.body)}\r\n" if isinstance(page.body, bytes) else ""
    return (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\nContent-Type: {page.content_type}\r\n"
        f"{length}Connection: close\r\n\r\n"
    ).encode()


async def _pieces(body: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    async for piece in body:
        yield piece


async def _coroutine(make: Callable[[Query], Awaitable[Page]], query: Query) -> Page:
    return await make(query)


async def _request(connection: socket.socket) -> bytes:
    """Return the head of a request. Raises ConnectionError: the client left without one, or it is endless."""
    loop, head = asyncio.get_running_loop(), b""
    while b"\r\n\r\n" not in head:
        found = await loop.sock_recv(connection, REQUEST_BYTES)
        if not found or len(head := head + found) > REQUEST_BYTES:
            raise ConnectionError("no request")
    return head


async def _send(connection: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(REQUEST_SECONDS):
        await asyncio.get_running_loop().sock_sendall(connection, data)
