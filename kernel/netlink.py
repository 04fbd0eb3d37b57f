"""A netlink socket: one request and its answer, a batch and its errors, a dump.

Edge. The kernel processes a request inside send(), so no answer is ever waited for; only a dump comes in pieces.
A socket belongs for life to the network namespace that its thread was in when it was opened.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from kernel.message import (
    ACK,
    DUMP,
    DUMP_INTERRUPTED,
    ERROR,
    Answer,
    Message,
    answer,
    explain,
    message,
    messages,
    take_failures,
    take_messages,
)

T = TypeVar("T")

NETLINK_ROUTE = 0  # the family of routes, devices and addresses
_NETLINK = 270  # SOL_NETLINK
_CAP_ACK, _EXT_ACK, _STRICT_CHECK = 10, 11, 12
_SEND_FORCE, _RECEIVE_FORCE = 32, 33  # SO_SNDBUFFORCE, SO_RCVBUFFORCE
_BUFFER = 8 << 20
CHUNK = 1 << 17  # more than any datagram of answers
_DUMP_ATTEMPTS = 8

NO_SUCH_TABLE = (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)
"""What a dump of routes answers where there is no such table yet, or no IPv6 on this host."""


class KernelError(Exception):
    """The kernel refused a request. `errno` is its number, 0 where it gave none."""

    def __init__(self, sentence: str, errno: int = 0) -> None:
        super().__init__(sentence)
        self.errno = errno


class NetlinkSocket:
    """One netlink socket for requests, in the network namespace its maker was in."""

    def __init__(self, protocol: int = NETLINK_ROUTE, *, groups: int = 0, receive_buffer: int = _BUFFER) -> None:
        """protocol: the netlink family, such as 12 (netfilter) or 16 (generic). groups: a bit for each subscription.

        Raises OSError: this family is not to be had here.
        """
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            _grow(self.socket, _SEND_FORCE, socket.SO_SNDBUF, _BUFFER)
            _grow(self.socket, _RECEIVE_FORCE, socket.SO_RCVBUF, receive_buffer)
            for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
                self.socket.setsockopt(_NETLINK, option, 1)
            self.socket.bind((0, groups))
        except OSError:
            self.socket.close()
            raise
        self.port: int = self.socket.getsockname()[0]
        self._sequence = 0

    def close(self) -> None:
        self.socket.close()

    def sequences(self, count: int) -> int:
        """Reserve `count` sequence numbers in a row and return the first."""
        if self._sequence + count >= 1 << 32:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def batch(self, requests: bytes, last: int) -> list[Answer]:
        """Send requests together and return the failures. They are independent: a failure stops none after it.

        `last` is the sequence number of the last one; it alone must ask for an acknowledgement.
        """
        if not requests:
            return []
        self.socket.send(requests)
        failures: list[Answer] = []
        while not take_failures(self.socket.recv(CHUNK), last, failures):
            pass
        return failures

    def request(self, kind: int, flags: int, body: bytes, tried: str) -> list[Message]:
        """Carry out one request and return the messages that came with its acknowledgement.

        Raises KernelError: the kernel refused; the sentence opens with `tried`.
        """
        sequence = self.sequences(1)
        self.socket.send(message(kind, flags | ACK, sequence, body))
        found = []
        while True:
            for reply in messages(self.socket.recv(CHUNK)):
                if reply.sequence != sequence:
                    continue
                if reply.kind != ERROR:
                    found.append(reply)
                    continue
                result = answer(reply)
                if result.errno:
                    raise KernelError(f"{tried}: {explain(result.errno, result.text)}", result.errno)
                return found

    def dump(self, kind: int, body: bytes, tried: str) -> list[Message]:
        """Return every message of one dump, repeated while the table changes during it.

        Raises KernelError: the kernel refused, or the table changed during each attempt.
        """
        for _ in range(_DUMP_ATTEMPTS):
            found: list[Message] = []
            for part in self.dump_parts(kind, body, tried):
                found += part
            if not any(item.flags & DUMP_INTERRUPTED for item in found):
                return found
        raise KernelError(f"{tried}: changed during each of {_DUMP_ATTEMPTS} attempts to read it", errno.EINTR)

    def dump_parts(self, kind: int, body: bytes, tried: str) -> Iterator[list[Message]]:
        """Yield the messages of a dump, a buffer at a time. A caller that stops early leaves no rest in the socket."""
        return self.dump_values(kind, body, tried, take_messages)

    def dump_values(
        self, kind: int, body: bytes, tried: str, take: Callable[[bytes, int, list[T]], Message | None]
    ) -> Iterator[list[T]]:
        """Yield the same, each buffer as what `take` makes of it: as `take_messages`, for what a dump has many of."""
        sequence = self.sequences(1)
        self.socket.send(message(kind, DUMP, sequence, body))
        finished = False
        try:
            while not finished:
                part: list[T] = []
                if (last := take(self.socket.recv(CHUNK), sequence, part)) is not None:
                    finished = True
                    result = answer(last)
                    if result.errno:
                        raise KernelError(f"{tried}: {explain(result.errno, result.text)}", result.errno)
                yield part
        finally:
            if not finished:
                self._drop_rest()

    def _drop_rest(self) -> None:
        """Read a dump to its end, unseen: a socket carries one at a time (EBUSY).

        What was read last may have been the end already. The kernel makes the next part of a dump whenever one is read,
        so where there is nothing to read, there is no more of it.
        """
        with suppress(BlockingIOError):
            while True:
                self.socket.recv(CHUNK, socket.MSG_DONTWAIT)


def _grow(netlink: socket.socket, force: int, plain: int, size: int) -> None:
    """Ask for a socket buffer beyond the system's limit; a user namespace gets what the limit allows."""
    try:
        netlink.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        netlink.setsockopt(socket.SOL_SOCKET, plain, size)
