"""One HTTP/2 connection (RFC 9113) to a server: many requests and streams at once, each ended by itself.

An edge. Nothing is tried again here: a connection that fails ends all that is under way on it, and the caller decides.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hpack
import hyperframe.frame
from msgspec import Struct

from datastore.kube.body import Body, DamagedBody

STREAM_WINDOW = 1 << 20
CONNECTION_WINDOW = 16 << 20  # streams whose reader is slow must not hold up the others
PING_AFTER_SECONDS = 10.0
LOST_AFTER_SECONDS = 25.0
"""How long a connection may be silent, pings included, before it counts as lost."""


# hpack logs each header field at DEBUG, and our token is one.
logging.getLogger(hpack.__name__).setLevel(logging.WARNING)

# h2 describes each frame for a log that is off, which is a quarter of what receiving one takes.
hyperframe.frame.Frame.__repr__ = object.__repr__  # type: ignore[method-assign]

# h2 takes a connection for closed at GOAWAY, though what the server has begun is still answered (RFC 9113 §6.8).
_OPEN = h2.connection.ConnectionState.CLIENT_OPEN
_OK = 200
_HTTP1 = "the server speaks HTTP/1.1"
_OPEN_AFTER_GOAWAY = {
    **h2.connection.H2ConnectionStateMachine._transitions,
    (_OPEN, h2.connection.ConnectionInputs.RECV_GOAWAY): (None, _OPEN),
}


class _PlainEncoder(hpack.Encoder):
    """Writes header fields without Huffman's code, which takes longer in Python than the bytes that it saves."""

    def encode(self, headers: Any, huffman: bool = False) -> bytes:
        return super().encode(headers, huffman=False)


class NoHttp2(OSError):
    """There is a server, and it does not speak HTTP/2: trying again will not help."""

    def __init__(self) -> None:
        super().__init__(
            "it speaks HTTP/1.1 and not HTTP/2, which is needed: give the address of the API server itself, or of a"
            " proxy or load balancer that passes TLS on to it or speaks HTTP/2"
        )


class ConnectionLost(Exception):
    """The connection is gone, or the server gave up this request.

    may_have_run: whether the request may have been carried out.
    """

    def __init__(self, reason: str, *, may_have_run: bool) -> None:
        super().__init__(reason)
        self.may_have_run = may_have_run


class Response(Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


class AnswerStream:
    """One answer while it arrives.

    endless: it has no end of its own, so it ends early, in order, where its connection takes no more requests.
    """

    def __init__(self, *, endless: bool = False) -> None:
        self.id = 0
        self.endless = endless
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._chunks: list[bytes] = []
        self._unread = asyncio.Event()
        self._ended = False
        self._error: ConnectionLost | None = None

    @property
    def ended(self) -> bool:
        return self._ended

    def begin(self, headers: Iterable[Any]) -> None:
        self.headers = dict(headers)
        self.status = int(self.headers[":status"])
        self._unread.set()

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._unread.set()

    def end(self, error: ConnectionLost | None = None) -> None:
        if not self._ended:
            self._ended, self._error = True, error
            self._unread.set()

    async def wait_for_headers(self) -> None:
        """Raises ConnectionLost."""
        while not self.status:
            if self._ended:
                raise self._error or ConnectionLost("it was ended before its headers", may_have_run=True)
            await self._wait()

    async def part(self) -> bytes:
        """Return what has arrived of the body since, or nothing at its end. Raises ConnectionLost.

        However many frames it came in: to look at each takes longer than to read what is in it.
        """
        while not self._chunks:
            if self._error:
                raise self._error
            if self._ended:
                return b""
            await self._wait()
        return b"".join(self.unread())

    def unread(self) -> list[bytes]:
        """Take what arrived and was not read."""
        chunks, self._chunks = self._chunks, []
        return chunks

    async def _wait(self) -> None:
        self._unread.clear()
        if not self._ended:
            await self._unread.wait()


class Http2Connection(asyncio.Protocol):
    """An open connection; made by `connect`."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        # What h2 would make of header fields `_send` does, but for a token, which it writes out in each request, so
        # that none can guess it by adding fields (RFC 7541 §7.1). Here no one else can, and each time takes 0.5 ms.
        configuration = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", normalize_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(configuration)
        self._h2.encoder = _PlainEncoder()
        self._h2.state_machine._transitions = _OPEN_AFTER_GOAWAY
        self._streams: dict[int, AnswerStream] = {}
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()
        self._ping_answered = asyncio.Event()
        self._closing = ""
        self._greeted = asyncio.Event()
        self._heard = 0.0
        self.received = 0
        """How often something has arrived, whatever it was."""
        self._silent_at: int | None = None
        self._keepalive: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether new requests may be sent on it."""
        return self._transport is not None and not self._closing

    @property
    def is_silent(self) -> bool:
        """Whether nothing has arrived since it was last taken for silent."""
        return self._silent_at == self.received

    def take_for_silent(self) -> None:
        self._silent_at = self.received

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        begin: Callable[[Mapping[str, str]], Callable[[bytes], object]] | None = None,
    ) -> Response:
        """Send a request and return its whole answer. Raises ConnectionLost.

        begin: returns, for the headers of an answer that says 200, what takes its body while it arrives. The body that
        is returned is empty then.
        """
        async with self.stream(method, path, headers, body) as stream:
            parts: list[bytes] = []
            keep = begin(stream.headers) if begin and stream.status == _OK else parts.append
            answer = Body(stream.headers, keep)
            try:
                while part := await self.read(stream):
                    answer.feed(part)
                    if begin:
                        await asyncio.sleep(0)  # what takes it may need a while for each part
                answer.end()
            except DamagedBody as damaged:
                raise ConnectionLost(f"what it sent as gzip is none: {damaged}", may_have_run=True) from None
            return Response(stream.status, stream.headers, b"".join(parts))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        endless: bool = False,
    ) -> AsyncIterator[AnswerStream]:
        """Send a request and yield its answer when the headers are there. Leaving early ends it at the server too."""
        stream = AnswerStream(endless=endless)
        try:
            await self._send(stream, method, path, headers or {}, body)
            await stream.wait_for_headers()
            yield stream
        finally:
            self._forget(stream)

    async def read(self, stream: AnswerStream) -> bytes:
        """Return the next part of a body, or nothing at its end. Raises ConnectionLost."""
        part = await stream.part()
        if part and stream.id in self._streams:
            self._h2.acknowledge_received_data(len(part), stream.id)
            self._flush()
        return part

    def ping(self) -> None:
        """Have a server that is alive send something, also where it takes no more requests."""
        if self._transport is not None:
            self._h2.ping(b"alive?  ")
            self._flush()

    async def answers_pings(self, seconds: float) -> bool:
        """Whether the server is alive, however slow it is with requests."""
        if self._transport is None:
            return False
        self.ping()
        answered = self._ping_answered
        try:
            async with asyncio.timeout(seconds):
                await answered.wait()
        except TimeoutError:
            return False
        return True

    async def greeted(self) -> None:
        """Return when the server has shown that it speaks HTTP/2. Raises ConnectionLost, NoHttp2."""
        await self._greeted.wait()
        if self._closing == _HTTP1:
            raise NoHttp2
        if not self.usable:
            raise ConnectionLost(self._closing, may_have_run=False)

    def retire(self, reason: str) -> None:
        """Take no more requests; those under way go on, and the connection is closed after the last."""
        self._closing = self._closing or reason
        for stream in self._streams.values():
            self._end_if_endless(stream)
        self._wake()
        if not self._streams:
            self._lose(reason)

    def close(self, reason: str = "closed by this side") -> None:
        self._lose(reason)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._h2.initiate_connection()
        self._h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW})
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()
        self._heard = asyncio.get_running_loop().time()
        self._look_after()

    def data_received(self, data: bytes) -> None:
        self.received += 1
        self._heard = asyncio.get_running_loop().time()
        if not self._greeted.is_set() and data.startswith(b"HTTP/1"):
            self._lose(_HTTP1)
            return
        self._greeted.set()
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self._lose(f"the server broke the protocol: {error}")
            return
        for event in events:
            self._handle(event)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(str(error) if error else "the server closed the connection")

    # Inside

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=number, headers=headers) if stream := self._streams.get(number):
                stream.begin(headers)
                if self._closing:
                    self._end_if_endless(stream)
            case h2.events.DataReceived(stream_id=number, data=data, flow_controlled_length=length):
                self._take(number, bytes(data), length)
            case h2.events.StreamEnded(stream_id=number) if stream := self._streams.get(number):
                stream.end()
            case h2.events.StreamReset(stream_id=number, error_code=code) if stream := self._streams.get(number):
                refused = code == h2.errors.ErrorCodes.REFUSED_STREAM
                stream.end(ConnectionLost(f"the server reset the request ({code})", may_have_run=not refused))
            case h2.events.ConnectionTerminated(last_stream_id=last):
                self._go_away(last or 0)
            case h2.events.PingAckReceived():
                self._ping_answered.set()
                self._ping_answered = asyncio.Event()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._wake()

    def _take(self, number: int, data: bytes, length: int) -> None:
        stream = self._streams.get(number)
        if stream is None:  # ended early here: what was under way still counts against the connection's window
            self._h2.acknowledge_received_data(length, number)
            return
        if padding := length - len(data):
            self._h2.acknowledge_received_data(padding, number)
        if data:
            stream.feed(data)

    def _go_away(self, last: int) -> None:
        """The server takes no more: what it has begun goes on, the rest was never looked at."""
        for number, stream in self._streams.items():
            if number > last:
                stream.end(ConnectionLost("the server went away before this request", may_have_run=False))
        self.retire("the server is going away")

    async def _send(
        self, stream: AnswerStream, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        await self._wait_until(self._may_open)
        stream.id = self._h2.get_next_available_stream_id()
        self._streams[stream.id] = stream
        once = hpack.NeverIndexedHeaderTuple(":path", path)  # it would take the place of what each request has
        pseudo = ((":method", method), once, (":scheme", "https"), (":authority", self._authority))
        fields = ((name.lower(), value) for name, value in headers.items())  # RFC 9113 §8.2
        self._h2.send_headers(stream.id, [*pseudo, *fields], end_stream=not body)
        if not body or self._h2.local_flow_control_window(stream.id) <= 0:  # else they leave with the body
            self._flush()
        while body and not stream.ended:
            await self._wait_until(lambda: stream.ended or self._h2.local_flow_control_window(stream.id) > 0)
            if not stream.ended:
                window = min(self._h2.local_flow_control_window(stream.id), self._h2.max_outbound_frame_size)
                part, body = body[:window], body[window:]
                self._h2.send_data(stream.id, part, end_stream=not body)
                self._flush()

    def _may_open(self) -> bool:
        return self._h2.open_outbound_streams < self._h2.remote_settings.max_concurrent_streams

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        """Raises ConnectionLost: the connection takes no more requests."""
        while self.usable and not holds():
            await self._changed.wait()
        if not self.usable:
            raise ConnectionLost(self._closing or "it is not open", may_have_run=False)

    def _wake(self) -> None:
        """Have all who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _forget(self, stream: AnswerStream) -> None:
        if not stream.id:
            return
        self._streams.pop(stream.id, None)
        if not stream.ended and self._transport:
            self._end_at_the_server(stream)
        for chunk in stream.unread():
            self._h2.acknowledge_received_data(len(chunk), stream.id)
        self._flush()
        self._wake()
        if self._closing and not self._streams:
            self._lose(self._closing)

    def _end_if_endless(self, stream: AnswerStream) -> None:
        """End a stream that has begun and would keep the connection; one that is refused ends by itself."""
        if stream.endless and stream.status == _OK and not stream.ended:
            self._end_at_the_server(stream)
            stream.end()

    def _end_at_the_server(self, stream: AnswerStream) -> None:
        with suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(stream.id, h2.errors.ErrorCodes.CANCEL)
        self._flush()

    def _flush(self) -> None:
        if self._transport and (data := self._h2.data_to_send()):
            self._transport.write(data)

    def _look_after(self) -> None:
        """Ping a silent server, and give the connection up when it stays silent."""
        loop = asyncio.get_running_loop()
        silent = loop.time() - self._heard
        if silent >= LOST_AFTER_SECONDS:
            self._lose(f"the server has been silent for {silent:.0f} s")
            return
        if silent >= PING_AFTER_SECONDS:
            self._h2.ping(b"felix-py")
            self._flush()
        self._keepalive = loop.call_later(PING_AFTER_SECONDS / 2, self._look_after)

    def _lose(self, reason: str) -> None:
        """End the connection and all that is under way on it."""
        self._closing = self._closing or reason
        transport, self._transport = self._transport, None
        if transport:
            transport.abort()
        if self._keepalive:
            self._keepalive.cancel()
        for stream in self._streams.values():
            stream.end(ConnectionLost(reason, may_have_run=True))
        self._greeted.set()
        self._wake()


async def connect(
    host: str, port: int, authority: str, tls: ssl.SSLContext | None, server_name: str | None = None
) -> Http2Connection:
    """Open a connection. Raises OSError, ConnectionLost, and NoHttp2.

    server_name: whose certificate the server must show, if not that of `host`.
    """
    loop = asyncio.get_running_loop()
    name = (server_name or host) if tls else None
    try:
        transport, connection = await loop.create_connection(
            lambda: Http2Connection(authority), host, port, ssl=tls, server_hostname=name
        )
    except ssl.SSLError as error:
        if "no application protocol" in str(error).lower().replace("_", " "):
            raise NoHttp2 from None
        raise
    try:
        if tls is None:
            await connection.greeted()
        elif transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise NoHttp2
    except BaseException:
        connection.close()
        raise
    return connection
