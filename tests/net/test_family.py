"""A family has one name, wherever it comes from."""

from __future__ import annotations

from net.family import FAMILIES, family_of_address, family_of_version
from net.prefix import Prefix, pack


def test_version_address_and_prefix_agree_on_the_family() -> None:
    for version, address, family in ((4, "192.0.2.1", "ipv4"), (6, "2001:db8::1", "ipv6")):
        assert family in FAMILIES
        assert family_of_version(version) == family
        assert family_of_address(pack(address)) == family
        assert Prefix.host(address).family == family
