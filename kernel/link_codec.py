"""Devices, addresses and neighbours as values, and as the bytes of rtnetlink's messages.

Sans-IO: it opens nothing.
"""

from __future__ import annotations

import socket
import struct

from msgspec import Struct

from kernel.message import attribute, attributes, chosen, nested, number, text
from net.prefix import Prefix

NEW_LINK, DELETE_LINK, GET_LINK, SET_LINK = 16, 17, 18, 19
NEW_ADDRESS, DELETE_ADDRESS, GET_ADDRESS = 20, 21, 22
NEW_NEIGHBOUR, DELETE_NEIGHBOUR, GET_NEIGHBOUR = 28, 29, 30

UP, LOWER_UP = 0x1, 0x10000
NO_DUPLICATE_DETECTION = 0x2  # IFA_F_NODAD
PERMANENT = 0x80  # NUD_PERMANENT
_INCOMPLETE, _FAILED = 0x01, 0x20  # NUD_INCOMPLETE, NUD_FAILED

_MAC, _NAME, _MTU, _PEER, _INFO, _ALIAS, _GROUP, _NAMESPACE = 1, 3, 4, 5, 18, 20, 27, 28
_OF_LINK = frozenset((_MAC, _NAME, _MTU, _PEER, _INFO, _ALIAS, _GROUP))
_EXTENSIONS, _TX_QUEUES, _RX_QUEUES = 29, 31, 32
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS: unused here, and most of the bytes

_LINK = struct.Struct("=BBHiII")  # family, pad, device type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, length, flags, scope, index
_NEIGHBOUR = struct.Struct("=BBHiHBB")  # family, pads, index, state, flags, type


class Link(Struct, frozen=True):
    """One network device. kind: "veth", "bridge" …, "" = physical.

    peer: the index of a veth's other end, in that one's namespace; 0 = none.
    alias: a text of up to 255 bytes that the device's maker may leave on it.
    """

    index: int
    name: str
    up: bool
    carrier: bool
    mtu: int
    mac: bytes
    group: int = 0
    kind: str = ""
    peer: int = 0
    alias: str = ""


class InterfaceAddress(Struct, frozen=True):
    """One address of a device. scope: 0 global, 253 link, 254 host."""

    index: int
    address: bytes
    length: int
    family: int
    scope: int


class NeighbourEntry(Struct, frozen=True):
    """One entry of the neighbour table (ARP, NDP)."""

    index: int
    address: bytes
    mac: bytes
    permanent: bool
    unanswered: bool = False
    """Who has the address was asked, in vain."""
    asked: bool = False
    """Who has it is being asked."""


def decode_link(body: bytes) -> Link | None:
    """Return the device in the body of a link message; None if it is about a bridge port instead."""
    family, _, _, index, flags, _ = _LINK.unpack_from(body)
    if family != 0:
        return None  # AF_BRIDGE: a port that leaves a bridge is reported as deleted, yet the device stays
    found = chosen(body, _LINK.size, _OF_LINK)
    return Link(
        index,
        _string(found.get(_NAME, b"")),
        bool(flags & UP),
        bool(flags & LOWER_UP),
        _int(found.get(_MTU, b"")),
        found.get(_MAC, b""),
        _int(found.get(_GROUP, b"")),
        _string(dict(attributes(found.get(_INFO, b""))).get(_INFO_KIND, b"")),
        _int(found.get(_PEER, b"")),
        _string(found.get(_ALIAS, b"")),
    )


def decode_address(body: bytes) -> InterfaceAddress | None:
    family, length, _, scope, index = _ADDRESS.unpack_from(body)
    found = dict(attributes(body, _ADDRESS.size))
    address = found.get(2, found.get(1))  # on a point-to-point device the local one; IFA_ADDRESS is the other end's
    return None if address is None else InterfaceAddress(index, address, length, family, scope)


def decode_neighbour(body: bytes) -> NeighbourEntry | None:
    _, _, _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
    found = dict(attributes(body, _NEIGHBOUR.size))
    if 1 not in found:
        return None
    flags = (bool(state & bit) for bit in (PERMANENT, _FAILED, _INCOMPLETE))
    return NeighbourEntry(index, found[1], found.get(2, b""), *flags)


def every_link() -> bytes:
    return _LINK.pack(0, 0, 0, 0, 0, 0) + number(_EXTENSIONS, _SKIP_STATISTICS)


def every_address() -> bytes:
    return _ADDRESS.pack(0, 0, 0, 0, 0)


def every_neighbour() -> bytes:
    return _NEIGHBOUR.pack(0, 0, 0, 0, 0, 0, 0)


def link_named(name: str) -> bytes:
    return _LINK.pack(0, 0, 0, 0, 0, 0) + number(_EXTENSIONS, _SKIP_STATISTICS) + text(_NAME, name)


def plain(name: str, kind: str) -> bytes:
    """Return the body that makes a device of a kind that needs no further attributes."""
    return _LINK.pack(0, 0, 0, 0, 0, 0) + text(_NAME, name) + nested(_INFO, text(_INFO_KIND, kind))


def veth(name: str, mac: bytes, mtu: int, peer_name: str, peer_namespace: int, peer_mac: bytes = b"") -> bytes:
    """Return the body that makes a veth, up, whose other end is created in the namespace of that descriptor.

    One queue each: with more, the driver cuts them down to what a veth can use and waits for RCU twice. peer_mac b"":
    the kernel chooses.
    """
    queues = number(_TX_QUEUES, 1) + number(_RX_QUEUES, 1)
    size = number(_MTU, mtu) if mtu else b""
    hardware = attribute(_MAC, peer_mac) if peer_mac else b""
    peer = text(_NAME, peer_name) + size + hardware + number(_NAMESPACE, peer_namespace) + queues
    end = nested(_VETH_PEER, _LINK.pack(0, 0, 0, 0, 0, 0) + peer)
    info = nested(_INFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, end))
    return _LINK.pack(0, 0, 0, 0, UP, UP) + text(_NAME, name) + size + attribute(_MAC, mac) + queues + info


def state(index: int, *, up: bool | None = None, name: str = "", group: int | None = None) -> bytes:
    """Return the body that changes a device's state, name or group, in one message."""
    flags, change = (UP if up else 0, 0 if up is None else UP)
    body = _LINK.pack(0, 0, 0, index, flags, change)
    return body + (text(_NAME, name) if name else b"") + (b"" if group is None else number(_GROUP, group))


def mtu(index: int, value: int) -> bytes:
    return _LINK.pack(0, 0, 0, index, 0, 0) + number(_MTU, value)


def mac(index: int, value: bytes) -> bytes:
    return _LINK.pack(0, 0, 0, index, 0, 0) + attribute(_MAC, value)


def alias(index: int, value: str) -> bytes:
    return _LINK.pack(0, 0, 0, index, 0, 0) + attribute(_ALIAS, value.encode())


def whole_group(group: int) -> bytes:
    return _LINK.pack(0, 0, 0, 0, 0, 0) + number(_GROUP, group)


def address(index: int, value: bytes, length: int, *, scope: int = 0) -> bytes:
    """Return the body that adds or deletes an address. IPv6: usable at once, without duplicate detection."""
    if len(value) == 4:
        return _ADDRESS.pack(socket.AF_INET, length, 0, scope, index) + attribute(2, value) + attribute(1, value)
    return _ADDRESS.pack(socket.AF_INET6, length, NO_DUPLICATE_DETECTION, scope, index) + attribute(1, value)


def neighbour(index: int, value: bytes, hardware: bytes) -> bytes:
    """Return the body of a neighbour that never ages."""
    family = socket.AF_INET if len(value) == 4 else socket.AF_INET6
    head = _NEIGHBOUR.pack(family, 0, 0, index, PERMANENT, 0, 1)
    return head + attribute(1, value) + attribute(2, hardware)


def link_local(hardware: bytes) -> bytes:
    """Return the IPv6 link-local address that the kernel derives from a MAC (RFC 4291, appendix A)."""
    head = bytes([hardware[0] ^ 0x02]) + hardware[1:3]
    return Prefix.parse("fe80::").packed[:8] + head + b"\xff\xfe" + hardware[3:]


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _int(value: bytes) -> int:
    return int.from_bytes(value, "little")
