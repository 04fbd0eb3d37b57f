from __future__ import annotations

from ipaddress import ip_network

from net.address_range import address_range, lies_in


def test_a_range_ends_with_the_last_address() -> None:
    assert address_range(ip_network("10.0.0.4/30")) == (0x0A000004, 0x0A000007)


def test_a_network_lies_in_itself_and_in_what_is_wider_but_never_in_another_family() -> None:
    assert lies_in(ip_network("10.0.0.0/26"), ip_network("10.0.0.0/26"))
    assert lies_in(ip_network("10.0.0.64/26"), ip_network("10.0.0.0/24"))
    assert not lies_in(ip_network("10.0.0.0/24"), ip_network("10.0.0.64/26"))
    assert not lies_in(ip_network("::/128"), ip_network("0.0.0.0/0"))
