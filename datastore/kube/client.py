"""Requests to one API server, over one HTTP/2 connection that is opened again when it is lost.

An edge. A request that the server cannot have seen is sent again; one that it may have carried out is not, unless
that changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from datastore.errors import DatastoreError, Unavailable
from datastore.kube.access import Access
from datastore.kube.answers import TOO_MANY_REQUESTS, UNAUTHORIZED, read_status, refusal, retry_after
from datastore.kube.http2 import AnswerStream, ConnectionLost, Http2Connection, Response, connect

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 10.0
HEADERS_SECONDS = 20.0
"""How long the headers of a watch may take."""
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
"""The same for a server that was there before: a caller is to hear soon that it is away."""
AWAY_SECONDS = 0.5
"""For how long after a connection could not be made in time whoever wants one hears that at once."""
PATIENCE_SECONDS = 3.5
"""A request is given up when for so long nothing at all was heard of the server, neither answers nor pongs."""
STEP_SECONDS = 0.1
"""In what steps that is counted: each as one, however late this process comes to it. It may be the busy one."""
PING_STEPS = 3
"""After how many silent steps a server is pinged: one that hangs does not answer, one that is slow does."""
PING_SECONDS = 3.0
"""How long after a request was given up the connection is kept for what else is under way on it."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
ACCESS_SECONDS = 5.0
"""A connection is made by what was read at most so long ago: server and certificates may have been changed."""

_NOT_REACHED = "no connection to it could be made in time"
JSON = "application/json"
METADATA_ALONE = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{JSON}"
"""What is accepted by who knows the rest of the answer; a server that cannot do that sends all."""
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"  # of Kubernetes' own kinds only

Begin: TypeAlias = Callable[[Mapping[str, str]], Callable[[bytes], object]]


class NoAnswer(Unavailable):
    """The server cannot be reached, or has not answered."""


class Silent(Exception):
    """Nothing was heard of the server for as long as a request has patience."""


class ApiClient:
    """read_access: where the server is and who we are; read at the first request, as it takes a while.

    patience_seconds: for how long nothing at all may be heard of the server. A slow one that answers pings is waited
    for, up to DEADLINE_SECONDS a request.
    """

    def __init__(self, read_access: Callable[[], Access], patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._read_access, self._patience_seconds = read_access, patience_seconds
        self._access: Access | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._connection: Http2Connection | None = None
        self._connecting: asyncio.Task[Http2Connection] | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._away_until = float("-inf")
        self._judging: dict[Http2Connection, asyncio.Task[None]] = {}
        self._closed = False

    async def request(
        self,
        what: str,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = JSON,
        accept: str = JSON,
        begin: Begin | None = None,
    ) -> Response:
        """Return the answer to a request that succeeded. `what` names it in errors. accept: the form of the answer.

        begin: returns, for the headers of an answer that is no refusal, what takes its body while it arrives: a long
        one is waited for as long as more of it comes. It is called again where the answer was lost and is asked anew.

        Raises what `answers.refusal` says, and NoAnswer: no answer in time, or a lost one.
        """
        headers = {"accept": accept, **({"content-type": content_type} if body else {})}
        response = await self.answer(what, method, path, headers, body, begin)
        if response.status >= 300:
            raise refusal(what, response.status, read_status(response.status, response.body))
        return response

    async def answer(
        self,
        what: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        begin: Begin | None = None,
    ) -> Response:
        """Return the answer to a request, also a refusal, which may be that of a program behind the API server.

        headers: beside those of every request. Raises NoAnswer: no answer in time, or a lost one.
        """
        losses: list[ConnectionLost] = []
        try:
            async with asyncio.timeout(DEADLINE_SECONDS) as deadline:
                begin = begin and _postponing(deadline, begin)
                response = await self._until_answered(method, path, headers, body, begin, losses)
                if response.status == UNAUTHORIZED:
                    response = await self._until_answered(method, path, headers, body, begin, losses)
        except (OSError, ssl.SSLError, ConnectionLost, Silent) as error:  # a TimeoutError is an OSError
            reason = str(error) or f"no answer within {DEADLINE_SECONDS:g} s"
            if losses and losses[-1] is not error:
                reason = f"{reason}; before that, {losses[-1]}"
            raise NoAnswer(f"{what}: {self._where}: {reason}") from None
        return response

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[tuple[AnswerStream, Http2Connection]]:
        """Begin a request whose answer goes on, and ends when its connection retires.

        Raises OSError, ConnectionLost, and DatastoreError: it cannot be read where the server is and who we are.
        """
        connection = await self._connected()
        access = self._known_access()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(HEADERS_SECONDS):
                answer = connection.stream("GET", access.path + path, _headers(access), endless=True)
                stream = await stack.enter_async_context(answer)
            try:
                yield stream, connection
            finally:
                if stream.status == UNAUTHORIZED:
                    await self._renew(access)

    async def reconnected(self) -> None:
        """Return when there is a connection; all who wait share one attempt after the other, with jitter.

        It returns too when the client is closed.
        """
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = asyncio.create_task(self._until_connected())
        await asyncio.shield(self._reconnecting)

    async def close(self) -> None:
        self._closed = True
        for task in (self._connecting, self._reconnecting, *self._judging.values()):
            if task:
                task.cancel()
        if self._connection:
            self._connection.close()

    @property
    def _where(self) -> str:
        return f"the API server at {self._access.authority}" if self._access else "the API server"

    def _known_access(self) -> Access:
        assert self._access, "it is read before there is a connection"
        return self._access

    async def _until_answered(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        begin: Begin | None,
        losses: list[ConnectionLost],
    ) -> Response:
        """Return an answer. What was not carried out is sent again while there is time.

        losses: takes what ended a try. Raises OSError, ConnectionLost, Silent, DatastoreError: it can't be read where
        the server is and who we are.
        """
        now = asyncio.get_running_loop().time
        give_up_at, pause = now() + DEADLINE_SECONDS, FIRST_PAUSE_SECONDS
        more = dict(headers)
        if method == "GET":
            more["accept-encoding"] = "gzip"  # which the server does to long lists: a tenth is sent
        while True:
            wait = pause * random.uniform(0.5, 1.5)
            try:
                connection = await self._connected()
                access = self._known_access()
                sent = {**_headers(access), **more}
                asking = connection.request(method, access.path + path, sent, body, begin)
                response = await self._while_alive(connection, asking)
                if response.status == UNAUTHORIZED:
                    await self._renew(access)
                if response.status != TOO_MANY_REQUESTS:
                    return response
                wait = max(wait, retry_after(response.headers, read_status(response.status, response.body)))
                if now() + wait > give_up_at:
                    return response
            except ConnectionLost as lost:
                losses.append(lost)
                if self._closed or (lost.may_have_run and method != "GET") or now() + wait > give_up_at:
                    raise
            await asyncio.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _until_connected(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._closed:
            try:
                await self._connected()
                return
            except (OSError, ssl.SSLError, ConnectionLost, DatastoreError):
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _connected(self) -> Http2Connection:
        """Return the connection, made anew if need be; all who want it meanwhile wait for the same attempt."""
        if self._closed:
            raise ConnectionLost("the datastore is closed", may_have_run=False)
        if self._connection and self._connection.usable:
            return self._connection
        if asyncio.get_running_loop().time() < self._away_until:
            raise TimeoutError(_NOT_REACHED)
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_take_note)
        attempt = self._connecting
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            if attempt.cancelled():  # by `close`
                raise ConnectionLost("the datastore is closed", may_have_run=False) from None
            raise

    async def _connect(self) -> Http2Connection:
        access = await self._current_access()
        try:
            limit = min(RECONNECT_SECONDS, self._patience_seconds) if self._connection else CONNECT_SECONDS
            async with asyncio.timeout(limit):
                self._connection = await connect(
                    access.host, access.port, access.authority, access.tls, access.server_name
                )
        except TimeoutError:
            self._away_until = asyncio.get_running_loop().time() + AWAY_SECONDS
            raise TimeoutError(_NOT_REACHED) from None
        except ssl.SSLError:  # the cluster may have new certificates
            self._read_at = float("-inf")
            raise
        return self._connection

    async def _while_alive(self, connection: Http2Connection, asking: Coroutine[Any, Any, Response]) -> Response:
        """Return an answer, however long it takes, as long as anything is heard of the server.

        Raises Silent: nothing was for too long, or another request has found that a moment ago.
        """
        if connection.is_silent:
            asking.close()
            raise Silent("the connection is silent: it answers neither requests nor pings")
        waiting = asyncio.ensure_future(asking)
        received, silent_steps = connection.received, 0
        try:
            while not (await asyncio.wait({waiting}, timeout=STEP_SECONDS))[0]:
                if connection.received != received:
                    received, silent_steps = connection.received, 0
                    continue
                silent_steps += 1
                if silent_steps % PING_STEPS == 0:
                    connection.ping()
                if silent_steps * STEP_SECONDS >= self._patience_seconds:
                    self._take_for_silent(connection)
                    raise Silent(f"it answers neither the request nor a ping within {self._patience_seconds:g} s")
            return waiting.result()
        finally:
            waiting.cancel()

    def _take_for_silent(self, connection: Http2Connection) -> None:
        """Have requests refused until something is heard, and the connection given up if nothing is."""
        connection.take_for_silent()
        if connection not in self._judging:
            self._judging[connection] = asyncio.create_task(self._judge(connection))

    async def _judge(self, connection: Http2Connection) -> None:
        try:
            if not await connection.answers_pings(PING_SECONDS):
                connection.close("it answers neither the request nor a ping")
        finally:
            del self._judging[connection]

    async def _current_access(self) -> Access:
        """Return where the server is and who we are, read again if that was a while ago. Raises DatastoreError."""
        async with self._reading:
            if self._access is None:
                await self._read()
            elif asyncio.get_running_loop().time() - self._read_at > ACCESS_SECONDS:
                await self._read_again()
            return self._known_access()

    async def _renew(self, refused: Access) -> None:
        """Read anew who we are, unless that was done since: a token or certificate was renewed, or has expired.

        What is under way goes on over the old connection, which bears the old certificate.
        """
        async with self._reading:
            if self._access is refused:
                await self._read_again()
                if self._connection:
                    self._connection.retire("who we are was not accepted, and was read anew")

    async def _read_again(self) -> None:
        try:
            await self._read()
        except DatastoreError as error:  # a file that is being replaced
            log.warning("%s; what was read before is used", error)

    async def _read(self) -> None:
        self._access = await asyncio.to_thread(self._read_access)
        self._read_at = asyncio.get_running_loop().time()


def _headers(access: Access) -> Mapping[str, str]:
    return {"accept": JSON, "user-agent": "felix-py", **access.headers()}


def _postponing(deadline: asyncio.Timeout, begin: Begin) -> Begin:
    """Return what begins an answer, each part of which puts the deadline off."""

    def begun(headers: Mapping[str, str]) -> Callable[[bytes], object]:
        keep, now = begin(headers), asyncio.get_running_loop().time

        def take(part: bytes) -> None:
            if not deadline.expired():
                deadline.reschedule(now() + DEADLINE_SECONDS)
            keep(part)

        return take

    return begun


def _take_note(attempt: asyncio.Task[Any]) -> None:
    """Have the failure of an attempt count as seen, whether or not anyone still waits for it."""
    if not attempt.cancelled():
        attempt.exception()
