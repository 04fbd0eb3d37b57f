"""What holds for the CIDR of every pool."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from datastore.pool_rules import link_local_within, misfit, overlap


@pytest.mark.parametrize(
    ("cidr", "block_size", "disabled", "reason"),
    [
        ("10.65.0.0/16", None, False, None),
        ("10.65.0.0/27", None, False, "cidr 10.65.0.0/27 is smaller than one block of /26"),
        ("10.65.0.0/27", None, True, None),
        ("10.65.0.0/16", 33, True, "blockSize 33 is not between 20 and 32 (IPv4)"),
        ("fd00::/48", 26, False, "blockSize 26 is not between 116 and 128 (IPv6)"),
        ("fd00::/48", None, False, None),
    ],
)
def test_blocks_of_a_pool_fit_into_it(cidr: str, block_size: int | None, disabled: bool, reason: str | None) -> None:
    found = misfit(ip_network(cidr), block_size, disabled=disabled)
    assert (found and found.partition(": ")[0]) == reason


def test_no_pool_shares_addresses_with_a_link_local_network() -> None:
    assert str(link_local_within(ip_network("169.254.1.0/24"))) == "169.254.0.0/16"
    assert str(link_local_within(ip_network("fe80::/64"))) == "fe80::/10"
    assert link_local_within(ip_network("10.65.0.0/16")) is None


def test_networks_of_two_families_share_nothing() -> None:
    assert overlap(ip_network("10.0.0.0/8"), ip_network("10.65.0.0/16"))
    assert overlap(ip_network("fd00::/64"), ip_network("fd00::/48"))
    assert not overlap(ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert not overlap(ip_network("::/0"), ip_network("0.0.0.0/0"))
