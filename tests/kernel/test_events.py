"""Datagrams of the kernel to events."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernel import link_codec
from kernel.events import AddressChanged, KernelEvent, LinkChanged, RouteChanged, decode_events
from kernel.message import HEADER, REPLACE, number, text
from kernel.route import BLACKHOLE, DELETE_ROUTE, MAIN_TABLE, NEW_ROUTE, RouteSpec, put_message
from net.prefix import Prefix, pack

BLOCK, DROP = Prefix.parse("10.65.1.0/26"), RouteSpec(80, 1030, BLACKHOLE)
OWN, FOREIGN = 4711, 99
LINK = struct.pack("=BBHiII", 0, 0, 1, 7, link_codec.UP, 0) + text(3, "eth0") + number(4, 1500)


def datagram(kind: int, body: bytes, *, flags: int = 0, port: int = FOREIGN) -> bytes:
    return HEADER.pack(16 + len(body), kind, flags, 1, port) + body + bytes(-len(body) % 4)


def decoded(data: bytes) -> list[KernelEvent]:
    found: list[KernelEvent] = []
    decode_events(data, (OWN,), found)
    return found


def route(table: int = MAIN_TABLE) -> bytes:
    body = bytearray(put_message(1, BLOCK, DROP)[16:])
    body[4] = table
    return bytes(body)


def test_a_route_of_another_program_is_there_or_gone() -> None:
    assert decoded(datagram(NEW_ROUTE, route()) + datagram(DELETE_ROUTE, route())) == [
        RouteChanged(BLOCK, DROP),
        RouteChanged(BLOCK, DROP, gone=True),
    ]


def test_only_a_replacement_is_marked_as_our_own_write() -> None:
    [ours] = decoded(datagram(NEW_ROUTE, route(), flags=REPLACE, port=OWN))
    [theirs] = decoded(datagram(NEW_ROUTE, route(), flags=REPLACE))
    assert ours == RouteChanged(BLOCK, DROP, replaced=True, own=True)
    assert theirs == RouteChanged(BLOCK, DROP, replaced=True)


def test_routes_of_other_tables_are_no_events() -> None:
    assert decoded(datagram(NEW_ROUTE, route(table=77))) == []


def test_devices_and_addresses_come_and_go() -> None:
    address = link_codec.address(7, pack("192.0.2.1"), 24)
    [there, gone, added, removed] = decoded(
        datagram(link_codec.NEW_LINK, LINK)
        + datagram(link_codec.DELETE_LINK, LINK)
        + datagram(link_codec.NEW_ADDRESS, address)
        + datagram(link_codec.DELETE_ADDRESS, address)
    )
    assert isinstance(there, LinkChanged) and (there.link.name, there.gone) == ("eth0", False)
    assert isinstance(gone, LinkChanged) and gone.gone
    assert isinstance(added, AddressChanged) and (added.address.address, added.gone) == (pack("192.0.2.1"), False)
    assert isinstance(removed, AddressChanged) and removed.gone


@given(st.lists(st.sampled_from([datagram(NEW_ROUTE, route()), datagram(3, b""), datagram(28, b"\0" * 12)])))
def test_kinds_that_are_not_known_are_skipped(parts: list[bytes]) -> None:
    routes = sum(part == datagram(NEW_ROUTE, route()) for part in parts)
    assert decoded(b"".join(parts)) == [RouteChanged(BLOCK, DROP)] * routes
