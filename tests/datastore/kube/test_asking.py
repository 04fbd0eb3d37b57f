"""Questions that are asked before anything else, of servers that answer, and of some that do not."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from datastore.kube import asking as module
from datastore.kube.asking import Arrival, Asking, NoPlainAnswer
from datastore.kube.plain_access import PlainAccess, plain_access
from datastore.kube.questions import BLOCKS, NODES, PODS, POOLS, Question, lease
from datastore.kube.tls import client_tls
from tests.datastore.kube.test_http1 import CHUNKED, chunks, head
from tests.kube.bed import Bed
from tests.kube.h2_server import make_certificate, server_tls

LONG = b"long" * 100_000
Respond = Callable[[bytes], bytes]


class Server:
    """A server that answers each request by what a function makes of it, and then closes if it is asked to.

    An answer of nothing closes at once.
    """

    def __init__(self, respond: Respond, tls: ssl.SSLContext, *, stays: bool = False) -> None:
        self.requests: list[bytes] = []
        self._respond, self._tls, self._stays = respond, tls, stays
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._tls.wrap_socket(plain, server_side=True) as connection:
            asked = b""
            while self._stays or b"Connection: close" not in asked:
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    if not (part := connection.recv(1 << 16)):
                        return
                    asked += part
                self.requests.append(asked)
                if not (answer := self._respond(asked)):
                    return
                connection.sendall(answer)


@contextmanager
def serving(folder: Path, respond: Respond, *, stays: bool = False) -> Iterator[tuple[Server, PlainAccess]]:
    """Run a server, and yield it and how to reach it. stays: whether it does not close when it is asked to."""
    certificate, key = make_certificate(folder)
    server = Server(respond, server_tls(certificate, key, "http/1.1"), stays=stays)
    tls = client_tls("http/1.1", authorities=str(certificate))
    try:
        yield server, PlainAccess("127.0.0.1", server.port, "/k", tls, "127.0.0.1", "Bearer t")
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


def test_an_answer_in_gzip_is_expanded(tmp_path: Path) -> None:
    answer = head(CHUNKED, "Content-Encoding: gzip") + chunks(gzip.compress(LONG))
    with serving(tmp_path, lambda asked: answer) as (_, access):
        assert asked(access, (PODS,)) == {PODS: (200, LONG)}


def test_an_answer_ends_though_the_server_does_not_close_behind_it(tmp_path: Path) -> None:
    with serving(tmp_path, answers({PODS: LONG, POOLS: b"few"}), stays=True) as (_, access):
        assert asked(access, (PODS,), (POOLS,)) == {PODS: (200, LONG), POOLS: (200, b"few")}


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
        b"\0\0\6\4\0\0\0\0\0\0\5\0\0@\0",  # HTTP/2
        b"",
    ],
)
def test_any_other_answer_is_none(tmp_path: Path, answer: bytes) -> None:
    with serving(tmp_path, lambda asked: answer) as (_, access), pytest.raises(NoPlainAnswer):
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
        with pytest.raises(NoPlainAnswer, match="nothing is heard of it"):
            found.extend(asking.arrivals())
        asking.close()
