"""A few read-only pages over HTTP, on a unix socket and on one TCP port: for probes, scrapers and felixctl.

An edge that knows nothing of what it serves. GET only, one request a connection, answers in one piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

log = logging.getLogger("felix.web")

REQUEST_SECONDS = 5.0


class Page(NamedTuple):
    status: HTTPStatus
    content_type: str
    body: bytes


Query = Mapping[str, str]
Pages = Mapping[str, Callable[[Query], Awaitable[Page]]]


class WebServer:
    """Serves `pages` by path; each is made for the query behind it."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._servers: list[asyncio.Server] = []

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
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                page = await self._answer(head.partition("\r\n")[0])
                writer.write(_response(page))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # a client that does not ask, or does not wait for its answer, gets none
        finally:
            writer.close()

    async def _answer(self, request: str) -> Page:
        match request.split():
            case ["GET" | "HEAD", target, _] if (make := self._pages.get(target.partition("?")[0])) is not None:
                return await make(dict(parse_qsl(target.partition("?")[2])))
            case ["GET" | "HEAD", target, _]:
                known = " ".join(sorted(self._pages))
                return text_page(HTTPStatus.NOT_FOUND, f"no page {target}; there are: {known}\n")
        return text_page(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered\n")


def text_page(status: HTTPStatus, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", text.encode())


def _response(page: Page) -> bytes:
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\nContent-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + page.body
