"""How what a peer sends is read from its socket: all there is at once, in messages of kinds that may come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement

READ_BYTES = 65536
OPEN, KEEPALIVE = 1, 4  # RFC 4271 §4.1
FSM_ERROR, IN_OPEN_CONFIRM, IN_ESTABLISHED = 5, 2, 3  # RFC 6608


def replacements() -> list[Replacement]:
    from exabgp.reactor.network.connection import Connection

    return [
        ReplacedFunction(Connection, "_reader", ("self", "number"), read_ahead(Connection._reader)),
        ReplacedFunction(Connection, "reader", ("self",), refuse_second_open(refuse_kind_0(Connection.reader))),
    ]


def refuse_kind_0(released: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """Return Connection.reader that refuses a message of kind 0 as any other kind that there is not (RFC 4271 §6.1).

    As released 0 stands for "nothing has come yet" as well, so that such a message ended the session by an error of
    ExaBGP's own, without a NOTIFICATION and with a traceback in the log.
    """
    from exabgp.reactor.network.error import NotifyError

    def reader(connection: Any) -> Iterator[Any]:
        for length, kind, header, body, refusal in released(connection):
            if length and not kind and refusal is None:
                yield length, kind, header, body, NotifyError(1, 3, 'can not decode message of type "0"')
                return
            yield length, kind, header, body, refusal

    return reader


def refuse_second_open(released: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """Return Connection.reader that refuses an OPEN in a connection that has had one (RFC 4271 §8.2.2, event 19).

    As released a session in which one comes goes on, and what was said in it passes for what was negotiated. From an
    OPEN to the first KEEPALIVE the session is in OpenConfirm.
    """
    from exabgp.reactor.network.error import NotifyError

    def reader(connection: Any) -> Iterator[Any]:
        for length, kind, header, body, refusal in released(connection):
            state = getattr(connection, "felix_state", None)
            if kind == OPEN and state is not None and refusal is None:
                yield length, kind, header, body, NotifyError(FSM_ERROR, state, "an OPEN in a session that has had one")
                return
            if kind == OPEN:
                connection.felix_state = IN_OPEN_CONFIRM
            elif kind == KEEPALIVE:
                connection.felix_state = IN_ESTABLISHED
            yield length, kind, header, body, refusal

    return reader


def read_ahead(released: Callable[[Any, int], Iterator[bytes]]) -> Callable[[Any, int], Iterator[bytes]]:
    """Return Connection._reader that reads all there is at once.

    As released each message costs two looks at the socket and two reads. What is waited for, and what ends the
    connection, is as released.
    """
    receive = receiver()

    def read(connection: Any, number: int) -> Iterator[bytes]:
        unread = unread_of(connection)
        while len(unread) < number:
            more = receive(connection)
            if more is None:
                yield b""
            elif more:
                unread += more
            else:
                yield from released(connection, number)  # which finds that the connection has ended, and raises
                return
        yield take(connection, number)

    return read


def receiver() -> Callable[[Any], bytes | None]:
    """Return what reads all there is at a connection's socket: nothing where that has ended, None where nothing waits.

    It raises LostConnection: the connection has broken.
    """
    from exabgp.reactor.network.error import LostConnection, error
    from exabgp.util.errstr import errstr

    def receive(connection: Any) -> bytes | None:
        try:
            received: bytes = connection.io.recv(READ_BYTES) if connection.io else b""
        except OSError as reason:
            if reason.errno in error.block:
                return None
            connection.close()
            raise LostConnection(f"issue reading on the socket: {errstr(reason)}") from None
        return received

    return receive


def unread_of(connection: Any) -> bytearray:
    """Return what was read from a connection's socket, and not taken yet."""
    unread: bytearray = connection.__dict__.setdefault("felix_unread", bytearray())
    return unread


def take(connection: Any, number: int) -> bytes:
    """Take so many of the bytes that were read."""
    unread = unread_of(connection)
    taken = bytes(unread[:number])
    del unread[:number]
    connection.felix_taken = getattr(connection, "felix_taken", 0) + number
    return taken


def bytes_taken(peer: Any) -> int:
    """Return how much of what a peer sent has been handled in this connection."""
    return getattr(peer.proto.connection, "felix_taken", 0) if peer.proto else 0


def was_read_ahead(peer: Any) -> bool:
    """Whether there is more from a peer that the poll set no longer shows."""
    return bool(peer.proto and getattr(peer.proto.connection, "felix_unread", b""))
