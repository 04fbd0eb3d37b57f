"""Requests to one API server, over one HTTP/2 connection that is opened again when it is lost.

An edge. A request that the server cannot have seen is sent again; one that it may have carried out is not, unless
that changes nothing.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from datastore.errors import Unavailable
from datastore.kube.access import Access
from datastore.kube.answers import TOO_MANY_REQUESTS, UNAUTHORIZED, read_status, refusal
from datastore.kube.http2 import AnswerStream, ConnectionLost, Http2Connection, Response, connect

DEADLINE_SECONDS = 10.0
HEADERS_SECONDS = 20.0
"""How long the headers of a watch may take."""
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
"""The same for a server that was there before: a caller is to hear soon that it is away."""
SLOW_SECONDS, PING_SECONDS = 0.5, 3.0
"""After how long without an answer a server is pinged, and how long that may take: one that hangs answers no ping."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0

MERGE_PATCH = "application/merge-patch+json"


class ApiClient:
    """read_access: where the server is and who we are; read at the first request, as it takes a while."""

    def __init__(self, read_access: Callable[[], Access]) -> None:
        self._read_access = read_access
        self._access: Access | None = None
        self._connection: Http2Connection | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def request(
        self, what: str, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> Response:
        """Return the answer to a request that succeeded. `what` names it in errors.

        Raises what `answers.refusal` says, and Unavailable: no answer in time, or a lost one.
        """
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                response = await self._until_answered(method, path, body, content_type)
                if response.status == UNAUTHORIZED:
                    await self._renew_access()
                    response = await self._until_answered(method, path, body, content_type)
        except (OSError, ssl.SSLError, ConnectionLost) as error:  # a TimeoutError is an OSError
            reason = str(error) or f"no answer within {DEADLINE_SECONDS:g} s"
            raise Unavailable(f"{what}: {self._where}: {reason}") from None
        if response.status >= 300:
            raise refusal(what, response.status, read_status(response.status, response.body))
        return response

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[tuple[AnswerStream, Http2Connection]]:
        """Begin a request whose answer goes on. Raises OSError and ConnectionLost."""
        connection = await self._connected()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(HEADERS_SECONDS):
                answer = connection.stream("GET", self._prefix + path, self._headers())
                stream = await stack.enter_async_context(answer)
            if stream.status == UNAUTHORIZED:
                await self._renew_access()
            yield stream, connection
        if stream.status == UNAUTHORIZED:
            await self._renew_access()

    async def close(self) -> None:
        self._closed = True
        if self._connection:
            self._connection.close()

    @property
    def _where(self) -> str:
        return f"the API server at {self._access.authority}" if self._access else "the API server"

    @property
    def _prefix(self) -> str:
        return self._access.path if self._access else ""

    async def _until_answered(self, method: str, path: str, body: bytes, content_type: str) -> Response:
        pause = FIRST_PAUSE_SECONDS
        while True:
            wait = pause * random.uniform(0.5, 1.5)
            try:
                connection = await self._connected()
                more = {"content-type": content_type} if body else {}
                headers = {**self._headers(), **more}
                asking = connection.request(method, self._prefix + path, headers, body)
                response = await _while_alive(connection, asking)
                if response.status != TOO_MANY_REQUESTS:
                    return response
                wait = max(wait, _retry_after(response))
            except ConnectionLost as lost:
                if self._closed or (lost.may_have_run and method != "GET"):
                    raise
            await asyncio.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _connected(self) -> Http2Connection:
        if self._connection and self._connection.usable:
            return self._connection
        async with self._connecting:
            if self._closed:
                raise ConnectionLost("the datastore is closed", may_have_run=False)
            if not (self._connection and self._connection.usable):
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> Http2Connection:
        if self._access is None:
            self._access = await asyncio.to_thread(self._read_access)
        access = self._access
        try:
            async with asyncio.timeout(RECONNECT_SECONDS if self._connection else CONNECT_SECONDS):
                return await connect(access.host, access.port, access.authority, access.tls)
        except ssl.SSLError:  # the cluster may have new certificates
            self._access = None
            raise

    async def _renew_access(self) -> None:
        """Read anew who we are: a token or certificate was renewed, or expired by a clock that jumped."""
        self._access = await asyncio.to_thread(self._read_access)
        if self._connection:  # it bears the old certificate
            self._connection.close("who we are was not accepted, and was read anew")

    def _headers(self) -> Mapping[str, str]:
        assert self._access
        return {"accept": "application/json", "user-agent": "felix-py", **self._access.headers()}


async def _while_alive(connection: Http2Connection, asking: Coroutine[Any, Any, Response]) -> Response:
    """Return an answer, however long it takes, but give up a connection over which not even a ping comes back."""
    waiting = asyncio.ensure_future(asking)
    try:
        while not (await asyncio.wait({waiting}, timeout=SLOW_SECONDS))[0]:
            if not await connection.answers_pings(PING_SECONDS):
                connection.close("it answers neither the request nor a ping")
        return waiting.result()
    finally:
        waiting.cancel()


def _retry_after(response: Response) -> float:
    given = response.headers.get("retry-after", "")
    if given.isdigit():
        return float(given)
    return read_status(response.status, response.body).retry_after_seconds
