"""The plainest BGP speaker there is, which sends whatever bytes it is given, and the bytes of UPDATEs for it."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

from net.prefix import Prefix, pack

OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
WELL_KNOWN, OPTIONAL, BOTH, EXTENDED = 0x40, 0x80, 0xC0, 0x10
HEADER_BYTES = 19
CAPABILITIES = bytes([1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1])  # IPv4 and IPv6 unicast
GRACEFUL_RESTART = bytes([64, 6, 0, 120, 0, 1, 1, 0x80])  # 120 s, IPv4 unicast preserved (RFC 4724 §3)
ADD_PATH = bytes([69, 8, 0, 1, 1, 2, 0, 2, 1, 2])  # it sends several paths of each (RFC 7911 §4)


def message(kind: int, body: bytes) -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def attribute(flags: int, code: int, value: bytes, length: int | None = None) -> bytes:
    """Return one path attribute; `length` is what it claims, where that is not its length."""
    claimed = len(value) if length is None else length
    return bytes([flags, code]) + (struct.pack("!H", claimed) if flags & EXTENDED else bytes([claimed])) + value


def networks(*prefixes: str) -> bytes:
    """Return prefixes as an UPDATE has them."""
    parsed = map(Prefix.parse, prefixes)
    return b"".join(bytes([each.length]) + each.packed[: (each.length + 7) // 8] for each in parsed)


def update(attributes: bytes = b"", announced: bytes = b"", withdrawn: bytes = b"") -> bytes:
    lengths = struct.pack("!H", len(withdrawn)), struct.pack("!H", len(attributes))
    return message(UPDATE, lengths[0] + withdrawn + lengths[1] + attributes + announced)


def update_body(attributes: bytes = b"", announced: bytes = b"", withdrawn: bytes = b"") -> bytes:
    """Return what of an UPDATE stands behind the header that all messages have."""
    return update(attributes, announced, withdrawn)[HEADER_BYTES:]


def opening(own: str, asn: int, capabilities: bytes = CAPABILITIES) -> bytes:
    """Return an OPEN whose BGP identifier is the address."""
    capabilities += bytes([65, 4]) + asn.to_bytes(4)
    options = bytes([2, len(capabilities)]) + capabilities
    return message(OPEN, struct.pack("!BHH", 4, asn, 90) + pack(own)[-4:] + bytes([len(options)]) + options)


@contextlib.asynccontextmanager
async def raw_peer(
    own: str, of: str, asn: int, capabilities: bytes = CAPABILITIES
) -> AsyncIterator[asyncio.StreamWriter]:
    """Dial a speaker from an address of ours, and bring the session up; what it sends is thrown away."""
    reader, writer = await asyncio.open_connection(of, 179, local_addr=(own, 0))
    writer.write(opening(own, asn, capabilities) + message(KEEPALIVE, b""))
    await reader.readexactly(19)
    reading = asyncio.create_task(reader.read())
    try:
        yield writer
    finally:
        reading.cancel()
        writer.close()
