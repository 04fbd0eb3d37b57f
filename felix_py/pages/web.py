"""A few read-only pages over HTTP, on a unix socket and on TCP ports: for probes, scrapers and felixctl.

An edge that does not know what it serves. GET and HEAD only, one request a connection. A page that is not made in one
piece is sent without its length, and ends where the connection ends. Anybody on the machine may ask: so connections are
few, the others wait in the kernel, all who ask for a page at once get one answer, and its work is done at a pace that
leaves the loop to pods.

Where not everybody may ask, `admit` decides. Strangers then have places of their own, of which one alone gets a few,
and take none from those who are admitted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from datastore.backoff import Backoff
from felix_py.pace import Pace

log = logging.getLogger("felix.web")

MOST_CONNECTIONS = 16  # at one time, of each listener: descriptors belong to pods
LEAST_SECONDS = 1.0  # that a connection may take while others wait
WAITING = 128  # connections that the kernel keeps meanwhile
REQUEST_SECONDS = 5.0  # for the request, for making a page, and for each piece of it that is sent
REQUEST_BYTES = 1 << 14
MOST_OF_ONE_STRANGER = 8  # connections from one address that are not admitted yet
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 10.0
ANSWER_SECONDS = 60.0  # for all pieces of a page, where admission is asked for


class Page(NamedTuple):
    status: HTTPStatus
    content_type: str
    body: bytes | AsyncIterator[bytes]


Query = Mapping[str, str]
PageMaker = Callable[[Query], Awaitable[Page]]
PageMakers = Mapping[str, PageMaker]


class PageRequest(NamedTuple):
    """target: path and query. headers: by name in lower case. source: the address it came from."""

    method: str
    target: str
    headers: Mapping[str, str]
    source: str = ""


Admit = Callable[[PageRequest], Awaitable[Page | None]]
"""Return the refusal of a request, or None to have it answered."""


class WebServer:
    """Serves pages by path; each is made for the query behind it."""

    def __init__(self, pages: PageMakers, pace: Pace | None = None, admit: Admit | None = None) -> None:
        self._pages, self._pace, self._admit = pages, pace or Pace(), admit
        self._admitted = asyncio.Semaphore(MOST_CONNECTIONS)
        self._strangers: Counter[str] = Counter()
        self._unix: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._making: dict[str, asyncio.Task[Page]] = {}

    def show(self, pages: PageMakers) -> None:
        """Serve these from now on."""
        self._pages = pages

    async def listen_unix(self, path: Path, mode: int) -> None:
        """Serve on a socket file, replacing a stale one, also of ours. mode: who may connect, as of chmod."""
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
        before, self._unix = self._unix, self._listen(listener)
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)

    async def listen_tcp(self, host: str, port: int) -> None:
        """Serve on each address of a host. Raises OSError: one of them cannot be had, and none is served."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with contextlib.ExitStack() as unless_all:
            listeners = [
                unless_all.enter_context(socket.create_server(address, family=family))  # IPv6 without IPv4: has its own
                for family, address in dict.fromkeys((one[0], one[4]) for one in found)
            ]
            unless_all.pop_all()
        for listener in listeners:
            self._listen(listener)

    @contextlib.asynccontextmanager
    async def kept_on(self, host: str, port: int, meanwhile: str) -> AsyncIterator[None]:
        """Serve on a port, 0: on none, as soon as it can be had: a program on its way out may still have it.

        meanwhile: what holds until then, for the log.
        """
        listening = asyncio.create_task(self._listen_when_free(host, port, meanwhile))
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await self.close()

    async def _listen_when_free(self, host: str, port: int, meanwhile: str) -> None:
        backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while port:
            try:
                await self.listen_tcp(host, port)
                break
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
                where, pause = f"{host} port {port}", backoff.next()
                log.warning("serve health on %s: %s; %s; next try in %.1f s", where, reason, meanwhile, pause)
                await asyncio.sleep(pause)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listen(self, listener: socket.socket) -> asyncio.Task[None]:
        listener.listen(WAITING)
        listener.setblocking(False)
        task = self._start(self._pace.run(self._accept(listener)))
        task.add_done_callback(lambda _: listener.close())
        return task

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
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("accept a connection for a page: %s; next try in 0.1 s", error)
                await asyncio.sleep(0.1)
                continue
            source = str(peer[0]) if isinstance(peer, tuple) else ""
            if self._admit is not None and self._strangers[source] >= MOST_OF_ONE_STRANGER:
                connection.close()
                await asyncio.sleep(0)
                continue
            while len(serving) >= MOST_CONNECTIONS:
                oldest, since = next(iter(serving.items()))
                await asyncio.wait(serving, timeout=since + LEAST_SECONDS - loop.time(), return_when="FIRST_COMPLETED")
                if len(serving) >= MOST_CONNECTIONS and loop.time() >= since + LEAST_SECONDS:
                    oldest.cancel()
            task = self._start(self._pace.run(self._serve(connection, source, partial(_leave, serving))))
            serving[task] = loop.time()
            task.add_done_callback(lambda done: serving.pop(done, None))
            await asyncio.sleep(0)

    async def _serve(self, connection: socket.socket, source: str, leave: Callable[[], None]) -> None:
        """leave: gives the place among those who wait to be admitted to another."""
        with (
            connection,
            contextlib.suppress(TimeoutError, OSError),
        ):  # a client that does not ask or read gets no answer
            if self._admit is None:
                request = await _request(connection, source)
                await _send_page(connection, request, await self._answer(request))
                return
            with self._as_stranger(source):
                request = await _request(connection, source)
                if (refusal := await self._admit(request)) is not None:
                    await _send_page(connection, request, refusal)
                    return
                await self._admitted.acquire()
                leave()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await _send_page(connection, request, await self._answer(request))
            finally:
                self._admitted.release()

    @contextlib.contextmanager
    def _as_stranger(self, source: str) -> Iterator[None]:
        self._strangers[source] += 1
        try:
            yield
        finally:
            self._strangers[source] -= 1
            if not self._strangers[source]:
                del self._strangers[source]

    async def _answer(self, request: PageRequest) -> Page:
        if request.method not in ("GET", "HEAD"):
            return text_page(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered\n")
        make = self._pages.get(request.target.partition("?")[0])
        if make is None:
            known = " ".join(sorted(self._pages))
            return text_page(HTTPStatus.NOT_FOUND, f"no page {request.target}; pages: {known}\n")
        return await self._page(request.target, make)

    async def _page(self, target: str, make: PageMaker) -> Page:
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


async def _coroutine(make: PageMaker, query: Query) -> Page:
    return await make(query)


async def _request(connection: socket.socket, source: str) -> PageRequest:
    """Return a request's head.

    Raises ConnectionError: the client left without one, or it is endless. Raises TimeoutError: it takes too long.
    """
    loop, head = asyncio.get_running_loop(), b""
    async with asyncio.timeout(REQUEST_SECONDS):
        while b"\r\n\r\n" not in head:
            found = await loop.sock_recv(connection, REQUEST_BYTES)
            if not found or len(head := head + found) > REQUEST_BYTES:
                raise ConnectionError("no request")
    return parse_request(head, source)


def parse_request(head: bytes, source: str = "") -> PageRequest:
    """Return what stands in a request's head; of one that is none, a method that nothing answers."""
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    match first.split():
        case [method, target, _]:
            return PageRequest(method, target, headers, source)
    return PageRequest("", "", headers, source)


def _leave(serving: dict[asyncio.Task[None], float]) -> None:
    """Take the task that runs out of those that are closed when others wait."""
    if (task := asyncio.current_task()) is not None:
        serving.pop(task, None)


async def _send_page(connection: socket.socket, request: PageRequest, page: Page) -> None:
    await _send(connection, _head(page))
    if request.method != "HEAD":
        async for piece in _pieces(page.body):
            await _send(connection, piece)


async def _send(connection: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(REQUEST_SECONDS):
        await asyncio.get_running_loop().sock_sendall(connection, data)
