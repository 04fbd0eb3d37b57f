"""The agent's socket: the shim's requests in, answers out.

Root only. A request is complete when the shim has shut its sending side; the answer is one piece, then the
connection closes. Descriptors that came along are closed when the request is over, however it ends. A shim that
goes away early does not disturb its request: an ADD is completed all the same, and the runtime's DEL, which must
follow a failed ADD, or its repeated ADD, finds it so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from cni.errors import CniError, Code
from cni.request import CniRequest, parse, version_of
from cni.result import render_error
from cni.shim_message import encode_reply, unpack_request
from ipam.arrivals import Arrivals
from kernel.kept_paths import keep
from kernel.path_watch import PathWatch

log = logging.getLogger("cni.server")

LIMIT = 8 << 20
REQUEST_SECONDS = 10.0
STOP_SECONDS = 10.0
PAUSE_SECONDS = 0.1
"""Before a connection is accepted again, after one could not be."""


class RequestHandler(Protocol):
    """Carries requests out: cni.verbs.Verbs."""

    async def run(self, request: CniRequest, netns: int | None) -> dict[str, object] | None: ...


async def respond(verbs: RequestHandler, message: bytes, netns: int | None) -> bytes:
    """Return the answer to one request, an error object if it failed for whatever reason."""
    stdin = b""
    try:
        environment, stdin = unpack_request(message)
        return encode_reply(0, await verbs.run(parse(environment, stdin), netns))
    except CniError as error:
        log.warning("%s (code %d)", error.sentence, error.code)
        return encode_reply(1, render_error(error, version_of(stdin)))
    except Exception as error:
        log.exception("a CNI request failed unexpectedly")
        sentence = f"unexpected error in the agent ({type(error).__name__}: {error}); its log has the traceback"
        return encode_reply(1, render_error(CniError(Code.UNEXPECTED, sentence), version_of(stdin)))


class CniServer:
    """Listens at `path` from start() to stop(); requests run side by side, as far as `verbs` lets them."""

    def __init__(self, path: Path | str, verbs: RequestHandler, arrivals: Arrivals | None = None) -> None:
        """arrivals: where each request is counted, from when its shim has connected."""
        self._path, self._verbs, self._arrivals = Path(path), verbs, arrivals or Arrivals()
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._quiet_since = -math.inf
        """When the last request was answered, by the loop's clock."""
        self._again: asyncio.TimerHandle | None = None
        """When connections are accepted again, after one could not be."""

    @property
    def is_quiet(self) -> bool:
        """Whether no request is being served."""
        return not self._serving

    async def wait_until_quiet(self) -> None:
        await self._quiet.wait()

    async def wait_until_quiet_for(self, seconds: float) -> None:
        """Return when no request has been served for so long."""
        now = asyncio.get_running_loop().time
        await self._quiet.wait()
        while (left := self._quiet_since + seconds - now()) > 0:
            await asyncio.sleep(left)
            await self._quiet.wait()

    async def start(self, first: Callable[[], Awaitable[None]] | None = None) -> None:
        """Listen, also where a socket was left behind. Raises OSError: another process is listening there.

        first: done when shims can connect already, and before one is served.
        """
        if await _is_answered(self._path):
            raise OSError(f"listen on {self._path}: another agent answers there; this one does not start")
        listener = _bound(self._path)
        if first is not None:
            try:
                await first()
            except BaseException:
                listener.close()
                raise
        self._serve_on(listener)

    async def keep(self, watch: PathWatch) -> None:
        """Listen anew wherever somebody has removed the socket, from start() until cancelled."""
        await keep(watch, self._path, self._listen_anew, "as no pod is attached without it")

    async def _listen_anew(self) -> None:
        listener = _bound(self._path)
        self._end_listening()
        self._serve_on(listener)

    def _serve_on(self, listener: socket.socket) -> None:
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _end_listening(self) -> None:
        if self._again is not None:
            self._again.cancel()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        self._listener = self._again = None

    async def stop(self) -> None:
        """Take no more requests, let those in flight end within their time, and undo what does not."""
        if self._listener is None:
            return
        self._end_listening()
        self._path.unlink(missing_ok=True)
        if self._serving:
            _, late = await asyncio.wait(self._serving, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        """Serve all who wait to be accepted, in one turn of the loop: fifty may come at once."""
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                loop = asyncio.get_running_loop()
                log.warning("accept a CNI request on %s: %s; next try in %g s", self._path, error, PAUSE_SECONDS)
                loop.remove_reader(listener)
                self._again = loop.call_later(PAUSE_SECONDS, loop.add_reader, listener, self._accept, listener)
                return
            connection.setblocking(False)
            self._arrivals.come()
            task = asyncio.create_task(self._serve(connection))
            self._serving.add(task)
            self._quiet.clear()
            task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._arrivals.answered()
        self._serving.discard(task)
        if not self._serving:
            self._quiet_since = asyncio.get_running_loop().time()
            self._quiet.set()

    async def _serve(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            with connection:
                _require_root(connection)
                message = await _receive(connection, descriptors)
                if len(message) > LIMIT:
                    sentence = f"the network configuration is longer than {LIMIT} bytes; nothing was done"
                    answer = encode_reply(1, render_error(CniError(Code.IO_FAILURE, sentence), version_of(b"")))
                else:
                    answer = await respond(self._verbs, message, descriptors[0] if descriptors else None)
                await _send(connection, answer)
        except (OSError, TimeoutError) as error:
            log.warning("a CNI request on %s was dropped: %s", self._path, error or "it did not arrive in time")
        finally:  # after the connection, for whose end the shim waits
            for descriptor in descriptors:
                os.close(descriptor)


def _bound(path: Path) -> socket.socket:
    """Return what listens at a path, for root only, in the place of what was there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(512)
    except BaseException:
        listener.close()
        raise
    return listener


async def _is_answered(path: Path) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with probe, contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_connect(probe, str(path))
        return True
    return False


def _require_root(connection: socket.socket) -> None:
    """Raise PermissionError for other users. The file's mode keeps them out already, but a mode can be changed."""
    _, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid not in {0, os.geteuid()}:
        raise PermissionError(f"user {uid} may not ask for pods' networks, only root")


async def _receive(connection: socket.socket, descriptors: list[int]) -> bytes:
    """Read until the shim shuts its sending side; collect the descriptors that came along, for the caller to close.

    Raises TimeoutError: it did not within REQUEST_SECONDS. It usually has, before it is read for the first time.
    """
    message = bytearray()
    if not _has_all(connection, message, descriptors):
        async with asyncio.timeout(REQUEST_SECONDS):
            while not _has_all(connection, message, descriptors):
                await _readable(connection)
    return bytes(message)


def _has_all(connection: socket.socket, message: bytearray, descriptors: list[int]) -> bool:
    """Read what is there; return whether that was the end, or more than a request may be."""
    while len(message) <= LIMIT:
        try:
            chunk, received, _, _ = socket.recv_fds(connection, 65536, 4, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        descriptors += received
        message += chunk
        if len(descriptors) > 1:
            raise OSError("more than one descriptor came with it, so it is not the shim's")
        if not chunk:
            break
    return True


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, wake)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


async def _send(connection: socket.socket, answer: bytes) -> None:
    """Send the answer. Raises TimeoutError: a shim that was stopped does not read."""
    try:
        sent = connection.send(answer)
    except BlockingIOError:
        sent = 0
    if sent < len(answer):
        async with asyncio.timeout(REQUEST_SECONDS):
            await asyncio.get_running_loop().sock_sendall(connection, answer[sent:])
