"""Reserved addresses as merged ranges."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from datastore.fields import Network
from ipam.reserved import Reserved
from net.address_range import address_range

networks = st.builds(
    lambda base, length: ip_network((base >> (32 - length) << (32 - length), length)),
    st.integers(10 << 24, (10 << 24) + 255),
    st.integers(24, 32),
)


@given(st.lists(networks, max_size=6), networks)
def test_reservations_hold_exactly_the_addresses_they_name(reserved: list[Network], block: Network) -> None:
    ranges = Reserved.of(reserved, 4)
    named = {int(address) for network in reserved for address in network}
    first, last = address_range(block)
    assert ranges.ordinals(block) == {address - first for address in named if first <= address <= last}
    assert ranges.covers(block) == (set(range(first, last + 1)) <= named)


def test_reservations_that_touch_or_overlap_are_one_range() -> None:
    halves = [ip_network("10.0.1.0/24"), ip_network("10.0.0.0/24"), ip_network("10.0.0.128/25")]
    reserved = Reserved.of(halves, 4)
    assert (len(reserved.firsts), len(reserved.lasts)) == (1, 1)
    assert reserved.covers(ip_network("10.0.0.0/23")) and not reserved.covers(ip_network("10.0.0.0/22"))


def test_the_range_around_an_address_ends_at_its_last_address() -> None:
    reserved = Reserved.of([ip_network("10.0.0.0/24")], 4)
    first = int(ip_network("10.0.0.0/24").network_address)
    assert reserved.range_end(first) == reserved.range_end(first + 255) == first + 255
    assert reserved.range_end(first - 1) is None and reserved.range_end(first + 256) is None


def test_a_reservation_of_the_other_family_does_not_count() -> None:
    assert Reserved.of([ip_network("fd00::/8")], 4) == Reserved()
