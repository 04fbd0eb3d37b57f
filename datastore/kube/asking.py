"""Questions to an API server, asked before anything else is done, whose answers are read while they arrive.

An edge. Connections are made by threads, so that the process imports meanwhile what understands the answers. Nothing is
tried again: whatever goes wrong, `datastore.kube.client` is to ask, which knows what to do about it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from selectors import EVENT_READ, BaseSelector, DefaultSelector
from threading import Thread
from typing import NamedTuple

from datastore.kube.body import DamagedBody
from datastore.kube.http1 import PlainAnswer
from datastore.kube.plain_access import PlainAccess
from datastore.kube.questions import Question

CONNECT_SECONDS = 1.5
"""For a connection, which a server's kernel makes however busy it is: who then asks otherwise waits for one again."""
PATIENCE_SECONDS = 10.0
"""It is given up when for so long nothing at all was heard of the server."""
STEP_SECONDS = 0.1
"""In what steps that is counted. After each what has come is looked at, however little it is."""
PART_BYTES = 1 << 18
"""The most that is read before it is looked at."""
WAKING_BYTES = 1 << 16
"""As much of a connection's last answer has to be there, or its end, before this process is woken. API servers send
4 KB at a time.
"""
RECORD_BYTES = 1 << 14
"""The longest of TLS."""


class NoPlainAnswer(Exception):
    """Something is not as it mostly is."""


class Arrival(NamedTuple):
    """A part of an answer, or its end, which is an empty part."""

    question: Question
    status: int
    part: bytes


class Asking:
    """Questions that are under way."""

    def __init__(self, access: PlainAccess, *connections: Sequence[Question]) -> None:
        """connections: what each asks, one question after the other."""
        self._access = access
        self._connections: list[_Connection] = []
        self._begun: list[_Connection] = []
        """Those of which nothing was read yet."""
        for questions in connections:
            self.ask(*questions)

    def ask(self, *questions: Question) -> None:
        """Ask more, by a connection of its own."""
        self._begun.append(_Connection(self._access, questions))
        self._connections.append(self._begun[-1])

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what arrives, in any order, until all is answered. Raises NoPlainAnswer."""
        with DefaultSelector() as selector:
            try:
                silent_steps = 0
                while waiting := self._waiting(selector):
                    ready = [key.data for key, _ in selector.select(STEP_SECONDS)]
                    heard = [found for each in ready or waiting if (found := each.received()) is not None]
                    silent_steps = 0 if heard else silent_steps + 1
                    if silent_steps * STEP_SECONDS > PATIENCE_SECONDS:
                        raise NoPlainAnswer("nothing is heard of it")
                    for each in waiting:
                        if each.answered:
                            selector.unregister(each.opened())
                    yield from chain.from_iterable(heard)
            except (OSError, ValueError, DamagedBody) as error:
                raise NoPlainAnswer(str(error)) from None

    def _waiting(self, selector: BaseSelector) -> list[_Connection]:
        """Return the connections that have something to answer, those that were begun meanwhile among them."""
        while self._begun:
            each = self._begun.pop()
            selector.register(each.opened(), EVENT_READ, each)
        return [key.data for key in selector.get_map().values()]

    def close(self) -> None:
        """End what is under way."""
        for each in self._connections:
            each.close()


class _Connection:
    """Asks one question after the other."""

    def __init__(self, access: PlainAccess, questions: Sequence[Question]) -> None:
        self._access = access
        self._left = list(questions)
        self._answer = PlainAnswer()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject
        self._socket: socket.socket | None = None
        self._buffer = bytearray(PART_BYTES)
        self._error: Exception | None = None
        self._opening = Thread(target=self._open, daemon=True)
        self._opening.start()

    @property
    def answered(self) -> bool:
        return not self._left

    def opened(self) -> socket.socket:
        """Return the socket, by which the first question was sent. Raises NoPlainAnswer."""
        self._opening.join()
        if self._error or not self._socket:
            raise NoPlainAnswer(str(self._error))
        return self._socket

    def received(self) -> list[Arrival] | None:
        """Return what has arrived of an answer, and its end; None: nothing has.

        Raises OSError, ValueError, DamagedBody, NoPlainAnswer.
        """
        if not (sent := self._read()):
            return None
        question, answer = self._left[0], self._answer
        part = answer.feed(sent)
        if answer.status and answer.status not in question.statuses:
            raise NoPlainAnswer(f"it answered {answer.status}")
        found = [Arrival(question, answer.status, part)] if part else []
        if answer.ended:
            found.append(Arrival(question, answer.status, b""))
            del self._left[0]
            if self._left:
                self._answer = PlainAnswer()
                self._ask()
        return found

    def close(self) -> None:
        if self._socket:
            self._socket.close()

    def _open(self) -> None:
        access = self._access
        try:
            self._tls = access.tls.wrap_bio(self._incoming, self._outgoing, server_hostname=access.server_name)
            self._socket = socket.create_connection((access.host, access.port), CONNECT_SECONDS)
            self._socket.settimeout(PATIENCE_SECONDS)
            self._shake_hands(self._socket)
            self._ask()
            self._socket.setblocking(False)
        except Exception as error:
            self._error = error

    def _shake_hands(self, connection: socket.socket) -> None:
        """Raises OSError: among others, that the server shows no certificate that is trusted."""
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                connection.sendall(self._outgoing.read())
                if not (part := connection.recv(RECORD_BYTES)):
                    self._incoming.write_eof()
                self._incoming.write(part)

    def _ask(self) -> None:
        assert self._socket
        here, there = self._socket.getsockname()[0], self._socket.getpeername()[0]
        is_last = len(self._left) == 1
        self._tls.write(_request(self._access, self._left[0], small=here != there, is_last=is_last))
        self._socket.sendall(self._outgoing.read())
        if is_last:  # its end is seen, since the server closes the connection behind it
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, WAKING_BYTES)

    def _read(self) -> bytes:
        """Return what has arrived. Raises OSError, NoPlainAnswer: it is closed."""
        assert self._socket
        try:
            count = self._socket.recv_into(self._buffer)
        except BlockingIOError:
            return b""
        if not count:
            raise NoPlainAnswer("it closed the connection")
        with memoryview(self._buffer) as buffer:
            self._incoming.write(buffer[:count])
        parts: list[bytes] = []
        with suppress(ssl.SSLWantReadError):
            while part := self._tls.read(RECORD_BYTES):
                parts.append(part)
        return b"".join(parts)


def _request(access: PlainAccess, question: Question, *, small: bool, is_last: bool) -> bytes:
    """small: whether a long answer is to come in gzip. It takes the server longer than it saves on one machine.

    is_last: whether the server is to close the connection behind its answer.
    """
    host = f"[{access.host}]" if ":" in access.host else access.host
    lines = (
        f"GET {access.path}{question.path} HTTP/1.1",
        f"Host: {host}:{access.port}",
        f"Accept: {question.accept}",
        "User-Agent: felix-py",
        *((f"Authorization: {access.authorization}",) if access.authorization else ()),
        *(("Accept-Encoding: gzip",) if small else ()),
        *(("Connection: close",) if is_last else ()),
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")
