"""A few read-only pages over HTTP, on a unix socket and on one TCP port: for probes, scrapers and felixctl.

An edge that does not know what it serves. GET and HEAD only, one request a connection. A page that is not made in one
piece is sent without its length, and ends where the connection ends. Anybody on the machine may ask, so connections are
few, and all who ask for a page at once get one answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

log = logging.getLogger("felix.web")

MOST_CONNECTIONS = 32  # what is beyond is closed at once: descriptors and turns of the loop belong to pods
REQUEST_SECONDS = 5.0  # for the request, for making a page, and for each piece of it that is sent


class Page(NamedTuple):
    status: HTTPStatus
    content_type: str
    body: bytes | AsyncIterator[bytes]


Query = Mapping[str, str]
PageMakers = Mapping[str, Callable[[Query], Awaitable[Page]]]


class WebServer:
    """Serves pages by path; each is made for the query behind it."""

    def __init__(self, pages: PageMakers) -> None:
        self._pages = pages
        self._servers: list[asyncio.Server] = []
        self._connections = 0
        self._making: dict[str, asyncio.Task[Page]] = {}

    async def listen_unix(self, path: Path, mode: int) -> None:
        """Serve on a socket file, replacing a stale one. mode: who may connect, as of chmod."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._servers.append(await asyncio.start_unix_server(self._serve, path))
        os.chmod(path, mode)

    async def listen_tcp(self, host: str, port: int) -> None:
        try:
            self._servers.append(await asyncio.start_server(self._serve, host, port))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            log.warning("serve health on %s port %d: %s; only the socket serves it", host, port, reason)

    async def close(self) -> None:
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MOST_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").partition("\r\n")[0]
            page = await self._answer(request)
            await _send(writer, _head(page))
            if not request.startswith("HEAD "):
                async for piece in _pieces(page.body):
                    await _send(writer, piece)
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # a client that sends no request, or stops reading, gets no answer
        finally:
            self._connections -= 1
            writer.close()

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
                self._making[target] = making = asyncio.ensure_future(make(query))
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


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    async with asyncio.timeout(REQUEST_SECONDS):
        await writer.drain()
