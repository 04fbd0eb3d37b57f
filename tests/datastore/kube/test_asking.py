"""Questions that are asked before anything else, of servers that answer, and of some that do not."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Semaphore, Thread

import pytest

from datastore.kube import asking as module
from datastore.kube.asking import Arrival, Asking, NoPlainAnswer
from datastore.kube.plain_access import PlainAccess, plain_access
from datastore.kube.questions import BLOCKS, NODES, PODS, POOLS, Question, lease
from datastore.kube.tls import client_tls
from tests.kube.bed import Bed
from tests.kube.h2_server import make_certificate, server_tls

LONG = b"long" * 100_000
CHUNKED, GZIP = "Transfer-Encoding: chunked", "Content-Encoding: gzip"
Respond = Callable[[bytes], bytes]


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines, "")).encode()


def chunks(body: bytes, size: int = 4096) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


class Server:
    """A server that answers each request by what a function makes of it.

    closes: whether it closes behind each answer; behind one of nothing it does anyway.
    """

    def __init__(self, respond: Respond, tls: ssl.SSLContext, host: str, *, closes: bool) -> None:
        self.requests: list[bytes] = []
        self.ended = Semaphore(0)
        """One for each connection that has ended, by whomever and however."""
        self._respond, self._tls, self._closes = respond, tls, closes
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            self._answer(plain)
        finally:
            self.ended.release()

    def _answer(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._tls.wrap_socket(plain, server_side=True) as connection:
            while True:
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    if not (part := connection.recv(1 << 16)):
                        return
                    asked += part
                self.requests.append(asked)
                answer = self._respond(asked)
                connection.sendall(answer)
                if self._closes or not answer:
                    return


@contextmanager
def serving(
    folder: Path, respond: Respond, *, host: str = "127.0.0.1", closes: bool = False
) -> Iterator[tuple[Server, PlainAccess]]:
    """Run a server, and yield it and how to reach it."""
    certificate, key = make_certificate(folder)
    server = Server(respond, server_tls(certificate, key, "http/1.1"), host, closes=closes)
    tls = client_tls("http/1.1", authorities=str(certificate))
    try:
        yield server, PlainAccess(host, server.port, "/k", tls, "127.0.0.1", "Bearer t")
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)  # ends who waits for the next connection
        server.listener.close()


def answers(bodies: Mapping[Question, bytes]) -> Respond:
    """Return what answers these questions by these bodies, and others by 404."""

    def respond(asked: bytes) -> bytes:
        path = asked.split(b" ")[1].decode().removeprefix("/k")
        found = next((body for question, body in bodies.items() if question.path == path), None)
        return head("Content-Length: 4", status="404 No") + b"none" if found is None else head(CHUNKED) + chunks(found)

    return respond


def bodies_of(arrivals: Sequence[Arrival]) -> dict[Question, tuple[int, bytes]]:
    """Return each answer that has ended, with its status."""
    return {
        end.question: (end.status, b"".join(one.part for one in arrivals if one.question == end.question))
        for end in arrivals
        if not end.part
    }


def asked(access: PlainAccess, *connections: Sequence[Question]) -> dict[Question, tuple[int, bytes]]:
    asking = Asking(access, *connections)
    try:
        return bodies_of([*asking.arrivals()])
    finally:
        asking.close()


def test_what_is_asked_over_several_connections_is_answered(tmp_path: Path) -> None:
    bodies = {PODS: LONG, BLOCKS: b"blocks", NODES: LONG[::-1], POOLS: b"pools"}
    none = lease("kube-system")
    with serving(tmp_path, answers(bodies)) as (server, access):
        found = asked(access, (PODS,), (BLOCKS, NODES, POOLS, none))
    assert found == {**{question: (200, body) for question, body in bodies.items()}, none: (404, b"none")}
    for each in server.requests:
        assert b"\r\nAuthorization: Bearer t\r\n" in each and f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in each
        assert b"gzip" not in each  # which takes longer than it saves where nothing leaves the machine
    [of_pods] = [each for each in server.requests if each.startswith(b"GET /k/api/v1/pods HTTP/1.1\r\n")]
    assert b"\r\nAccept: application/vnd.kubernetes.protobuf\r\n" in of_pods


def test_more_may_be_asked_by_what_was_answered(tmp_path: Path) -> None:
    with serving(tmp_path, answers({PODS: LONG, BLOCKS: b"blocks", POOLS: b"pools"})) as (_, access):
        asking, found = Asking(access, (BLOCKS,)), []
        for one in asking.arrivals():
            found.append(one)
            if one == Arrival(BLOCKS, 200, b""):
                asking.ask(POOLS, PODS)
        asking.close()
    assert bodies_of(found) == {BLOCKS: (200, b"blocks"), POOLS: (200, b"pools"), PODS: (200, LONG)}


def test_a_server_elsewhere_is_asked_for_gzip_which_is_expanded(tmp_path: Path) -> None:
    answer = head(CHUNKED, GZIP) + chunks(gzip.compress(LONG))
    with serving(tmp_path, lambda asked: answer, host="127.0.0.2") as (server, access):
        assert asked(access, (PODS,)) == {PODS: (200, LONG)}
    assert all(b"\r\nAccept-Encoding: gzip\r\n" in each for each in server.requests)


@pytest.mark.parametrize("body", [b"", b"short", LONG])
def test_an_answer_may_say_how_long_it_is(tmp_path: Path, body: bytes) -> None:
    with serving(tmp_path, lambda asked: head(f"Content-Length: {len(body)}") + body) as (_, access):
        assert asked(access, (PODS, POOLS)) == {PODS: (200, body), POOLS: (200, body)}


def test_an_api_server_answers(bed: Bed) -> None:
    access = plain_access(str(bed.control_plane.kubeconfig), None)
    assert access
    found = asked(access, (PODS,), (BLOCKS, POOLS, lease("kube-system")))
    assert [found[question][0] for question in (PODS, BLOCKS, POOLS, lease("kube-system"))] == [200, 200, 200, 404]
    assert found[PODS][1].startswith(b"k8s\0") and b'"IPPoolList"' in found[POOLS][1]


@pytest.mark.parametrize(
    "answer",
    [
        head("Content-Length: 0", status="500 Internal Server Error"),
        head("Content-Length: 0", status="401 Unauthorized"),
        head("Content-Length: 0", status="429 Too Many Requests"),
        head(CHUNKED) + chunks(LONG)[:-1000],
        head(f"Content-Length: {len(LONG)}") + LONG[:-1000],
        head() + LONG,
        head(CHUNKED) + b"x\r\n",
        head(CHUNKED, GZIP) + chunks(LONG),
        head(CHUNKED, GZIP) + chunks(gzip.compress(LONG)[:-9]),
        b"\0\0\6\4\0\0\0\0\0\0\5\0\0@\0",  # HTTP/2
        b"",
    ],
)
def test_any_other_answer_is_none(tmp_path: Path, answer: bytes) -> None:
    with serving(tmp_path, lambda asked: answer, closes=True) as (_, access), pytest.raises(NoPlainAnswer):
        asked(access, (BLOCKS,), (PODS,))


def test_a_server_that_cannot_be_reached_or_trusted_answers_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, answers({PODS: LONG})) as (server, access):
        strange = access._replace(tls=client_tls("http/1.1"))
        with pytest.raises(NoPlainAnswer, match="certificate verify failed"):
            asked(strange, (PODS,))
        with pytest.raises(NoPlainAnswer, match="certificate is not valid for"):
            asked(access._replace(server_name="other.example"), (PODS,))
        with pytest.raises(NoPlainAnswer, match="label empty"):
            asked(access._replace(server_name=".example"), (PODS,))
        assert not server.requests
    with pytest.raises(NoPlainAnswer, match="refused"):
        asked(access, (PODS,))


def test_a_server_of_which_nothing_is_heard_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    begun = head(CHUNKED) + b"5\r\nbegun"

    with serving(tmp_path, lambda asked: begun if b"pods" in asked else chunks(b"")) as (_, access):
        asking = Asking(access, (PODS, NODES))
        found: list[Arrival] = []
        with pytest.raises(NoPlainAnswer, match="timed out"):
            found.extend(asking.arrivals())
        asking.close()


def test_all_connections_end_when_one_has_failed(tmp_path: Path) -> None:
    def respond(asked: bytes) -> bytes:
        return head(CHUNKED) + (b"5\r\nbegun" if b"pods" in asked else b"x\r\n")

    with serving(tmp_path, respond) as (server, access):
        asking = Asking(access, (PODS,), (NODES,))
        with pytest.raises(NoPlainAnswer):
            list(asking.arrivals())
        asking.close()
        assert all(server.ended.acquire(timeout=5) for _ in range(2))


def test_a_connection_that_is_ended_stays_one_of_tls(tmp_path: Path) -> None:
    """What another thread sends just then, such as a token, is readable for nobody."""
    with serving(tmp_path, answers({PODS: LONG})) as (_, access):
        connection = module._Connection(access)
        connection.connect()
        connection.end()
        assert connection._opened and connection._opened.version()
        with pytest.raises(OSError):
            list(connection.answer(PODS))
        connection.close()
