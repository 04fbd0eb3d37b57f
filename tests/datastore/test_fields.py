"""Strings of records as values, and what is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datastore import fields
from net.prefix import Prefix


def test_a_time_is_written_as_kubernetes_writes_it() -> None:
    assert fields.time_text(1767366245_999999999) == "2026-01-02T15:04:05Z"
    assert fields.micro_time_text(1767366245_000006999) == "2026-01-02T15:04:05.000006Z"


@given(st.integers(1, 2**32 - 1))
def test_an_as_number_is_read_in_each_of_its_spellings(number: int) -> None:
    for written in (number, str(number), f"{number >> 16}.{number & 0xFFFF}"):
        assert fields.as_number(written) == number


@pytest.mark.parametrize("written", ["", "-1", "4294967296", "65536.0", "0.65536", "1.2.3", "1.", "AS1", "١", " 1"])
def test_what_is_no_as_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not an AS number"):
        fields.as_number(written)


@pytest.mark.parametrize("written", [0, "0", "0.0"])
def test_as_number_0_is_reserved(written: int | str) -> None:
    with pytest.raises(ValueError, match=r"0 is reserved \(RFC 7607\)"):
        fields.as_number(written)


@pytest.mark.parametrize(
    "written",
    ["10.66.0.0/255.255.0.0", "10.66.0.0/0.0.255.255", "10.65.9.9/255.255.255.255", "10.66.0.0/", "10.66.0.0/١٦",
     "10.66.0.0/16/16", "fd00::/ffff::"],
)  # fmt: skip
def test_only_a_prefix_length_may_stand_behind_the_slash(written: str) -> None:
    for reading in (fields.network, fields.network_or_address, fields.interface):
        with pytest.raises(ValueError, match="does not end in a prefix length"):
            reading(written)


@example("::ffff:0.0.0.0/96")
@given(st.text(alphabet="0123456789./:abcdf%", max_size=20))
def test_what_is_a_network_here_is_one_on_every_path_behind(text: str) -> None:
    try:
        found = fields.network_or_address(text)
    except ValueError:
        return
    assert fields.network(str(Prefix.parse(text))) == found  # `::ffff:0:0/96` has two spellings


@pytest.mark.parametrize("written", ["9" * 400 + "h", "-" + "9" * 400 + "h", "2562048h"])
def test_a_duration_that_go_cannot_hold_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is longer than the longest duration"):
        fields.seconds(written)


def test_a_dotted_as_number_without_quotes_is_refused_as_a_decimal_one() -> None:
    with pytest.raises(ValueError, match=r"1\.1 is a decimal number; a dotted AS number needs quotes"):
        fields.as_number(1.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("-2s", -2), ("0", 0)]
)
def test_a_duration_is_read_in_gos_way(written: str, seconds: float) -> None:
    assert fields.seconds(written) == seconds


@pytest.mark.parametrize("written", ["", "90", "1d", "s", "1m 30s", "--1s"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 90s"):
        fields.seconds(written)


def test_a_community_has_two_or_three_numbers() -> None:
    assert fields.community("64512:100") == (64512, 100)
    assert fields.community("4200000000:1:2") == (4200000000, 1, 2)
    for wrong in ("64512", "65536:1", "1:2:3:4", "4294967296:1:2", "no-export"):
        with pytest.raises(ValueError, match="is not a community"):
            fields.community(wrong)


@pytest.mark.parametrize(
    ("written", "address", "port"),
    [
        ("192.0.2.9", "192.0.2.9", None),
        ("192.0.2.9:1179", "192.0.2.9", 1179),
        ("fd00::9", "fd00::9", None),
        ("[fd00::9]", "fd00::9", None),
        ("[fd00::9]:1179", "fd00::9", 1179),
    ],
)
def test_a_peers_address_may_have_a_port(written: str, address: str, port: int | None) -> None:
    assert fields.peer_address(written) == (ip_address(address), port)


def test_host_bits_are_refused_with_the_network_that_is_meant() -> None:
    with pytest.raises(ValueError, match=r"beyond its length: 10\.65\.0\.0/16 is meant"):
        fields.network("10.65.0.1/16")


def test_an_address_alone_is_a_network_only_where_one_is_allowed() -> None:
    assert fields.network_or_address("10.65.0.1") == ip_network("10.65.0.1/32")
    assert fields.network_or_address("fd00::/64") == ip_network("fd00::/64")
    with pytest.raises(ValueError, match="is not a CIDR"):
        fields.network("10.65.0.1")


@pytest.mark.parametrize("read", [fields.address, fields.network, fields.interface, fields.network_or_address])
def test_a_zone_index_means_nothing_in_a_record(read: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="zone index"):
        read("fe80::1%eth0")


@given(st.ip_addresses(), st.integers(0, 128))
def test_an_interface_keeps_its_address_and_the_length_of_its_subnet(address: ipaddress.IPv4Address, bits: int) -> None:
    length = bits * address.max_prefixlen // 128
    read = fields.interface(f"{address}/{length}")
    assert (read.ip, read.network.prefixlen) == (address, length)
