"""Devices, addresses and neighbours as bytes of rtnetlink."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernel import link_codec
from kernel.link_codec import (
    InterfaceAddress,
    Link,
    NeighbourEntry,
    decode_address,
    decode_link,
    decode_neighbour,
    link_local,
)
from kernel.message import attribute, nested, number, text
from net.prefix import Prefix, pack

MACS = st.binary(min_size=6, max_size=6)


def test_the_link_local_address_is_the_one_that_the_kernel_derives() -> None:
    assert link_local(b"\xee" * 6) == pack("fe80::ecee:eeff:feee:eeee")


@given(MACS)
def test_every_link_local_address_lies_in_fe80_and_holds_the_mac(mac: bytes) -> None:
    address = link_local(mac)
    assert Prefix.parse("fe80::/64").contains(Prefix.host(address))
    assert address[9:11] + address[13:] == mac[1:3] + mac[3:]


def test_a_device_is_read_with_all_that_is_known_of_it() -> None:
    head = struct.pack("=BBHiII", 0, 0, 1, 7, link_codec.UP | link_codec.LOWER_UP, 0)
    body = head + text(3, "cali1") + number(4, 1440) + attribute(1, b"\xee" * 6) + number(27, 9) + number(5, 2)
    body += nested(18, text(1, "veth")) + text(20, "felix net c1 eth0")
    assert decode_link(body) == Link(
        7, "cali1", True, True, 1440, b"\xee" * 6, group=9, kind="veth", peer=2, alias="felix net c1 eth0"
    )


def test_a_bridge_port_is_not_a_device() -> None:
    assert decode_link(struct.pack("=BBHiII", 7, 0, 1, 7, 0, 0)) is None


@given(st.integers(1, 2**31 - 1), st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_an_address_reads_back_as_it_was_written(index: int, address: bytes) -> None:
    bits = 8 * len(address)
    family = 2 if len(address) == 4 else 10
    assert decode_address(link_codec.address(index, address, bits)) == InterfaceAddress(index, address, bits, family, 0)


def test_of_a_point_to_point_device_the_local_address_counts() -> None:
    body = struct.pack("=BBBBI", 2, 32, 0, 0, 7) + attribute(1, pack("192.0.2.2")) + attribute(2, pack("192.0.2.1"))
    found = decode_address(body)
    assert found is not None and found.address == pack("192.0.2.1")


@given(st.integers(1, 2**31 - 1), st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), MACS)
def test_a_neighbour_reads_back_as_permanent(index: int, address: bytes, mac: bytes) -> None:
    assert decode_neighbour(link_codec.neighbour(index, address, mac)) == NeighbourEntry(index, address, mac, True)


def test_a_neighbour_without_an_address_is_none() -> None:
    assert decode_neighbour(struct.pack("=BBHiHBB", 2, 0, 0, 7, 0, 0, 1)) is None


def test_a_neighbour_that_was_asked_for_in_vain_or_is_being_asked_for_is_marked() -> None:
    body = link_codec.neighbour(7, bytes(4), b"")
    for state, marks in ((0x01, (False, False, True)), (0x20, (False, True, False)), (0x02, (False, False, False))):
        entry = decode_neighbour(body[:8] + state.to_bytes(2, "little") + body[10:])
        assert entry and (entry.permanent, entry.unanswered, entry.asked) == marks
