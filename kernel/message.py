"""Netlink's envelope: headers, attributes, answers. Their contents are decoded by route.py and link_codec.py.

Sans-IO: bytes in, bytes out. Numbers are those of linux/netlink.h and linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

REQUEST, MULTI, ACK, ECHO, DUMP_INTERRUPTED, DUMP = 0x1, 0x2, 0x4, 0x8, 0x10, 0x300
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
ERROR, DONE, OVERRUN = 2, 3, 4

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_ATTRIBUTE = struct.Struct("=HH")  # length with these four bytes, type
_U32_ATTRIBUTE = struct.Struct("=HHI")
_ERRNO = struct.Struct("=i")

_NESTED = 0x8000
_TYPE_MASK = 0x3FFF  # without the nested and byte-order bits
_CAPPED, _EXT_ACK_ATTRIBUTES = 0x100, 0x200
_EXT_ACK_TEXT = 1


class Message(NamedTuple):
    """One netlink message, its header taken apart. port: of an event, that of the socket which made the change."""

    kind: int
    flags: int
    sequence: int
    body: bytes
    port: int = 0


class Answer(NamedTuple):
    """The kernel's answer to one request: errno 0 is an acknowledgement; text is its explanation, often empty."""

    sequence: int
    errno: int
    text: str


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return HEADER.pack(16 + len(body), kind, REQUEST | flags, sequence, 0) + body


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded to four bytes as the next one needs it."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def number(kind: int, value: int) -> bytes:
    """Return an attribute that holds 32 bits."""
    return _U32_ATTRIBUTE.pack(8, kind, value)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def messages(datagram: bytes) -> Iterator[Message]:
    """Yield the messages of what one recv returned."""
    offset, end = 0, len(datagram)
    while offset + 16 <= end:
        length, kind, flags, sequence, port = HEADER.unpack_from(datagram, offset)
        if length < 16:
            return
        yield Message(kind, flags, sequence, datagram[offset + 16 : offset + length], port)
        offset += (length + 3) & ~3


def take_messages(datagram: bytes, sequence: int, found: list[Message]) -> Message | None:
    """Append the messages of a dump to `found`; return the one that ends it, if it is among them."""
    for item in messages(datagram):
        if item.sequence == sequence:
            if item.kind in (ERROR, DONE):
                return item
            found.append(item)
    return None


def attributes(body: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each attribute from `offset` on."""
    end = len(body)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, body[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def chosen(body: bytes, offset: int, kinds: Collection[int]) -> dict[int, bytes]:
    """Return the payloads of these types from `offset` on. Of a device's forty it takes half of the time of all."""
    found, end, read = {}, len(body), _ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        length, kind = read(body, offset)
        if length < 4:
            break
        if (kind := kind & _TYPE_MASK) in kinds:
            found[kind] = body[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def answer(reply: Message) -> Answer:
    """Return the answer in an ERROR or DONE message, with the kernel's explanation if any (NETLINK_EXT_ACK)."""
    code = -_ERRNO.unpack_from(reply.body)[0] if len(reply.body) >= 4 else 0
    explanation = ""
    if reply.flags & _EXT_ACK_ATTRIBUTES:
        start = 4 if reply.kind == DONE else 20 if reply.flags & _CAPPED else 4 + _echoed(reply.body)
        for kind, value in attributes(reply.body, start):
            if kind == _EXT_ACK_TEXT:
                explanation = value.rstrip(b"\0").decode(errors="replace")
    return Answer(reply.sequence, code, explanation)


def take_failures(datagram: bytes, last: int, failures: list[Answer]) -> bool:
    """Append the failures among the answers to a batch; return whether the answer to number `last` is there."""
    for reply in messages(datagram):
        if reply.kind in (ERROR, DONE):
            result = answer(reply)
            if result.errno:
                failures.append(result)
            if result.sequence == last:
                return True
    return False


def _echoed(body: bytes) -> int:
    """Return how long the request is that an uncapped error repeats after its errno."""
    length: int = HEADER.unpack_from(body, 4)[0]
    return (length + 3) & ~3


def explain(code: int, explanation: str = "") -> str:
    """Return the kernel's explanation, or the errno's, with the errno's name: `Nexthop has … gateway (ENETUNREACH)`."""
    name = errno.errorcode.get(code, str(code))
    return f"{(explanation or os.strerror(code).lower()).rstrip('.')} ({name})"
