"""What is read from a peer's socket, and what ends that."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from bgp.exabgp_launcher import reading


def test_messages_that_came_together_are_read_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = SimpleNamespace(io=ours)
        read = reading.read_ahead(lambda connection, number: iter([b"the end"]))
        theirs.send(b"one message")
        assert next(read(connection, 3)) == b"one"
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        assert next(read(connection, 8)) == b" message"
        waiting = read(connection, 5)
        assert next(waiting) == b""
        theirs.send(b"parts")
        assert next(waiting) == b"parts"
        theirs.close()
        assert list(read(connection, 1)) == [b"the end"]


def connection_that_receives(*received: bytes | OSError) -> Any:
    said = iter(received)

    def recv(_: int) -> bytes:
        more = next(said)
        if isinstance(more, OSError):
            raise more
        return more

    def close() -> None:
        connection.io = None

    connection = SimpleNamespace(io=SimpleNamespace(recv=recv), close=close)
    return connection


@pytest.mark.parametrize("passing", [errno.ENOMEM, errno.ENOBUFS, errno.EINTR, errno.EBUSY, errno.EAGAIN])
def test_an_error_that_passes_loses_nothing_of_what_was_read(passing: int) -> None:
    connection = connection_that_receives(b"AB", OSError(passing, "later"), b"CDEF")
    read = reading.read_ahead(lambda connection, number: iter([b"not these"]))
    assert list(read(connection, 4)) == [b"", b"ABCD"]


@pytest.mark.parametrize("name", ["ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH"])
def test_an_error_that_ends_a_connection_is_named(name: str) -> None:
    from exabgp.reactor.network.error import LostConnection

    connection = connection_that_receives(b"AB", OSError(getattr(errno, name), "gone"))
    read = reading.read_ahead(lambda connection, number: iter([b"not these"]))
    with pytest.raises(LostConnection, match=name):
        list(read(connection, 4))
    assert connection.io is None


@pytest.mark.parametrize(("between", "subcode"), [([], reading.IN_OPEN_CONFIRM), ([reading.KEEPALIVE], 3)])
def test_a_second_open_in_a_connection_is_an_error_of_the_state_that_it_comes_in(
    between: list[int], subcode: int
) -> None:
    connection = SimpleNamespace()
    kinds = iter([reading.OPEN, *between, reading.OPEN])
    read = reading.refuse_second_open(lambda _: iter([(29, next(kinds), b"", b"", None)]))
    before = [next(read(connection)) for _ in range(1 + len(between))]
    assert [refusal for *_, refusal in before] == [None] * len(before)
    [(*_, refusal)] = read(connection)
    assert (refusal.code, refusal.subcode) == (5, subcode)
