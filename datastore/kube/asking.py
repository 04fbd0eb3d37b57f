"""Questions to an API server, asked before anything else is done, whose answers are read while they arrive.

An edge. A thread for each connection asks and reads, so that the process imports meanwhile what understands it. Nothing
is tried again: whatever goes wrong, `datastore.kube.client` is to ask, which knows what to do about it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.client import HTTPResponse, HTTPSConnection
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

from datastore.kube.body import Body
from datastore.kube.plain_access import PlainAccess
from datastore.kube.questions import Question

CONNECT_SECONDS = 1.5
"""For making a connection, which a server's kernel does however busy it is. Where it fails, the store waits anew."""
PATIENCE_SECONDS = 10.0
"""It is given up when for so long nothing at all was heard over one of its connections."""
PART_BYTES = 1 << 18
"""So much of an answer is handed on at a time. API servers send 4 KB, and each change between threads costs."""


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
        self._arrived: SimpleQueue[Arrival | NoPlainAnswer] = SimpleQueue()
        self._unanswered = 0
        self._connections: list[_Connection] = []
        for questions in connections:
            self.ask(*questions)

    def ask(self, *questions: Question) -> None:
        """Ask more, by a connection of its own."""
        self._unanswered += len(questions)
        self._connections.append(_Connection(self._access))
        Thread(target=self._read, args=(self._connections[-1], questions), daemon=True).start()

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what arrives, in any order, until all is answered. Raises NoPlainAnswer."""
        while self._unanswered:
            arrival = self._arrived.get()
            if isinstance(arrival, NoPlainAnswer):
                raise arrival
            yield arrival
            if not arrival.part:
                self._unanswered -= 1

    def close(self) -> None:
        """End what is under way."""
        for each in self._connections:
            each.end()

    def _read(self, connection: _Connection, questions: Sequence[Question]) -> None:
        try:
            for question in questions:
                for arrival in connection.answer(question):
                    self._arrived.put(arrival)
        except Exception as error:
            self._arrived.put(NoPlainAnswer(str(error)))
        finally:
            connection.close()


class _Connection(HTTPSConnection):
    """Asks one question after the other."""

    def __init__(self, access: PlainAccess) -> None:
        super().__init__(access.host, access.port, context=access.tls)
        self._access = access
        self._opened: ssl.SSLSocket | None = None
        self._has_ended = False

    def connect(self) -> None:
        """Raises OSError, ValueError: among others, that the server shows no certificate that is trusted."""
        plain = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        plain.settimeout(PATIENCE_SECONDS)
        tls, name = self._access.tls, self._access.server_name
        self.sock = self._opened = tls.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        if self._has_ended:
            raise NoPlainAnswer("it is not asked any more")
        self._opened.do_handshake()

    def answer(self, question: Question) -> Iterator[Arrival]:
        """Ask, and yield what comes. Raises OSError, ValueError, HTTPException, DamagedBody, NoPlainAnswer."""
        if not self._opened:
            self.connect()
        self.request("GET", self._access.path + question.path, headers=self._headers(question))
        with self.getresponse() as response:
            if response.status not in question.statuses:
                raise NoPlainAnswer(f"it answered {response.status}")
            for part in _parts(response):
                yield Arrival(question, response.status, part)
        yield Arrival(question, response.status, b"")

    def end(self) -> None:
        """End it for the thread that reads from it, too."""
        self._has_ended = True
        if self._opened:
            with suppress(OSError):  # it is closed
                # Not SSLSocket's own, which takes TLS off first: what the thread sends just then would be readable.
                socket.socket.shutdown(self._opened, socket.SHUT_RDWR)

    def _headers(self, question: Question) -> dict[str, str]:
        assert self._opened
        here, there = self._opened.getsockname()[0], self._opened.getpeername()[0]
        headers = {"Accept": question.accept, "User-Agent": "felix-py"}
        if self._access.authorization:
            headers["Authorization"] = self._access.authorization
        if here != there:  # on one machine it takes the server longer than it saves
            headers["Accept-Encoding"] = "gzip"
        return headers


def _parts(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the body of an answer, none of it empty. Raises OSError, HTTPException, DamagedBody, NoPlainAnswer."""
    if response.length is None and not response.chunked:
        raise NoPlainAnswer("it does not say how long its answer is")
    kept: list[bytes] = []
    body = Body({"content-encoding": response.getheader("Content-Encoding", "")}, kept.append)
    while part := response.read(PART_BYTES):
        body.feed(part)
        yield from filter(None, kept)
        kept.clear()
    if response.length:
        raise NoPlainAnswer("it closed the connection")
    body.end()
