"""A prefix agrees with `ipaddress` in whatever both can do."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from net.prefix import Prefix, pack, unpack

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

ADDRESSES = st.ip_addresses()
NETWORKS: st.SearchStrategy[Network] = st.builds(
    lambda address, cut: ip_network((address, min(cut, address.max_prefixlen)), strict=False),
    ADDRESSES,
    st.integers(0, 128),
)


@given(NETWORKS)
@example(ip_network("0.0.0.0/0"))
@example(ip_network("::/0"))
@example(ip_network("::ffff:0:0/96"))
def test_a_networks_text_is_read_and_written_back_as_ipaddress_writes_it(network: Network) -> None:
    prefix = Prefix.parse(str(network))
    assert ip_network(str(prefix)) == network
    assert Prefix.parse(str(prefix)) == prefix


@given(ADDRESSES)
def test_an_address_alone_is_its_host_prefix(address: Address) -> None:
    prefix = Prefix.parse(str(address))
    assert prefix == Prefix.host(str(address)) == Prefix.host(pack(str(address)))
    assert prefix.is_host
    assert ip_address(prefix.address) == address


@given(ADDRESSES, st.integers(0, 128))
def test_the_network_of_an_interface_drops_the_host_bits(address: Address, length: int) -> None:
    length = min(length, address.max_prefixlen)
    assert ip_network(str(Prefix.of(f"{address}/{length}"))) == ip_interface(f"{address}/{length}").network


@given(NETWORKS, NETWORKS)
@example(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"))
@example(ip_network("0.0.0.0/0"), ip_network("::/0"))
def test_containing_and_overlapping_are_ipaddresss(one: Network, other: Network) -> None:
    p, q = Prefix.parse(str(one)), Prefix.parse(str(other))
    assert p.overlaps(q) == q.overlaps(p) == one.overlaps(other)
    assert p.contains(q) == (one.version == other.version and other.subnet_of(one))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 32).flatmap(lambda length: st.ip_addresses(v=4).map(lambda ip: f"{ip}/{length}"))))
def test_prefixes_of_a_family_sort_by_address_and_then_shorter_first(texts: list[str]) -> None:
    networks = [ip_network(text, strict=False) for text in texts]
    assert sorted(Prefix.of(text) for text in texts) == [Prefix.parse(str(network)) for network in sorted(networks)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/8/8"),
        *("10.0.0.1/24", "10.0.0", "10.0.0.256", "010.0.0.0/8"),
        *("fd00::/129", "fd00::1/64", "fe80::1%eth0", "::1/128 ", "web"),
    ],
)
def test_what_is_no_prefix_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        Prefix.parse(text)


@pytest.mark.parametrize("text", ["10.0.0.1/33", "10.0.0.1/-1", "fd00::1/129", "10.0.0.1/x", "x/8"])
def test_an_interface_with_an_impossible_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Prefix.of(text)


def test_a_prefix_knows_its_family_and_its_bits() -> None:
    four, six = Prefix.parse("10.0.0.0/8"), Prefix.parse("fd00::/8")
    assert (four.family, four.bits, six.family, six.bits) == ("ipv4", 32, "ipv6", 128)


@given(ADDRESSES)
def test_packing_and_unpacking_undo_each_other(address: Address) -> None:
    assert pack(str(address)) == address.packed
    assert pack(unpack(address.packed)) == address.packed


def test_an_ipv4_address_written_as_ipv6_stays_ipv6() -> None:
    assert pack("::ffff:10.0.0.1") == ip_address("::ffff:10.0.0.1").packed
    assert unpack(pack("::ffff:10.0.0.1")) == "::ffff:10.0.0.1"
