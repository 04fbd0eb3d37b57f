"""A node's addresses by family: the next hop of what it announces."""

from __future__ import annotations

from felix_py.identity import Addresses
from net.prefix import Prefix, pack


def test_each_family_has_its_own_address_or_none() -> None:
    addresses = Addresses(pack("192.0.2.1"), None)
    assert addresses.of_family(Prefix.parse("10.65.1.0/26")) == pack("192.0.2.1")
    assert addresses.of_family(Prefix.parse("fd80::/122")) is None
