"""An HTTP/2 server, with TLS or without, whose every answer a test decides, byte by byte if it wants."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions


class Gone(Exception):
    """The client has left, or ended this request."""


@dataclass
class Request:
    """One request whose headers have arrived, and the means to answer it."""

    method: str
    path: str
    headers: Mapping[str, str]
    _server: _Connection
    _number: int
    body: bytes = b""
    ended: bool = False
    """Whether the client has ended it early."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, status: int, **headers: str) -> None:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self._server.h2.send_headers(self._number, [(":status", str(status)), *named])
        self._server.flush()

    async def send(self, data: bytes) -> None:
        """Send part of the answer's body, as fast as the client lets it. Raises Gone."""
        while data:
            window = min(self._window(), self._server.h2.max_outbound_frame_size)
            if window <= 0:
                await self.wait()
                continue
            self._server.h2.send_data(self._number, data[:window])
            self._server.flush()
            data = data[window:]

    def finish(self) -> None:
        self._window()
        self._server.h2.end_stream(self._number)
        self._server.flush()

    async def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.begin(status, **headers)
        await self.send(body)
        self.finish()

    def reset(self, code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.INTERNAL_ERROR) -> None:
        self._server.h2.reset_stream(self._number, code)
        self._server.flush()

    def go_away(self, last: int) -> None:
        """Say that nothing after the stream `last` is looked at."""
        self._server.h2.close_connection(last_stream_id=last)
        self._server.flush()
        self._server.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN

    def fall_silent(self) -> None:
        """Send nothing more over the whole connection, as a process does that hangs."""
        self._server.silent = True

    def speak_again(self) -> None:
        self._server.silent = False
        self._server.flush()

    def cut(self) -> None:
        """End the whole connection, as a crash does."""
        self._server.cut()

    async def wait(self) -> None:
        """Return when something about this request has changed. Raises Gone."""
        self._changed.clear()
        await self._changed.wait()
        self._window()

    def changed(self) -> None:
        self._changed.set()

    def _window(self) -> int:
        if self.ended or self._server.lost:
            raise Gone
        return self._server.h2.local_flow_control_window(self._number)


Handler = Callable[[Request], Awaitable[None]]


class _Connection(asyncio.Protocol):
    def __init__(self, handle: Handler, tasks: set[asyncio.Task[None]]) -> None:
        self._handle, self._tasks = handle, tasks
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.lost = False
        self.silent = False
        self.client_certificate: bytes | None = None
        self._requests: dict[int, Request] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        self.client_certificate = tls.getpeercert(binary_form=True) if tls else None
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.cut()
            return
        for event in events:
            self._take(event)
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        for request in self._requests.values():
            request.changed()

    def flush(self) -> None:
        if self._transport and not self.lost and not self.silent and (data := self.h2.data_to_send()):
            self._transport.write(data)

    def cut(self, *, reset: bool = False) -> None:
        if self._transport:
            if reset and not self.lost:
                now = struct.pack("ii", 1, 0)  # what was sent and has not arrived is dropped, as by a crash
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            self._transport.abort()
        self.connection_lost(None)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=number, headers=headers):
                named = {str(name): str(value) for name, value in headers}
                self._requests[number] = Request(named[":method"], named[":path"], named, self, number)
            case h2.events.DataReceived(stream_id=number, data=data, flow_controlled_length=length):
                self._requests[number].body += bytes(data)
                self.h2.acknowledge_received_data(length, number)
            case h2.events.StreamEnded(stream_id=number):
                task = asyncio.create_task(self._answer(self._requests[number]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case h2.events.StreamReset(stream_id=number) if request := self._requests.get(number):
                request.ended = True
                request.changed()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for request in self._requests.values():
                    request.changed()

    async def _answer(self, request: Request) -> None:
        with suppress(Gone, h2.exceptions.ProtocolError):
            await self._handle(request)


class H2Server:
    """The server while it runs. Its connections can be made silent, as a network does that loses every packet."""

    def __init__(self) -> None:
        self.port = 0
        self.connections: list[_Connection] = []

    def go_silent(self) -> None:
        for connection in self.connections:
            connection.silent = True

    def cut(self, *, reset: bool = False) -> None:
        """End every connection at once, by RST if it is to be reset."""
        for connection in self.connections:
            connection.cut(reset=reset)


@asynccontextmanager
async def serving(handle: Handler, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[H2Server]:
    """Answer requests on a port of the loopback, a free one for 0, each by `handle`, until the block ends."""
    found = H2Server()
    tasks: set[asyncio.Task[None]] = set()

    def connected() -> _Connection:
        found.connections.append(_Connection(handle, tasks))
        return found.connections[-1]

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", port, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        found.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def make_certificate(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """Return a new certificate for this name or address, which vouches for itself, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    kind = "IP" if name[0].isdigit() else "DNS"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}", "-days", "2"]
    subprocess.run([*command, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True)
    return certificate, key


def server_tls(certificate: Path, key: Path, *protocols: str) -> ssl.SSLContext:
    """Return the side of a server that shows this certificate and speaks these protocols: `h2` unless it is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(list(protocols or ("h2",)))
    return context
