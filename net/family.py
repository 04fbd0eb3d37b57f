"""The two address families, by the names that BGP, BIRD and Calico's resources use.

Pure.
"""

from __future__ import annotations

from typing import Literal

Family = Literal["ipv4", "ipv6"]

FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")


def family_of_version(version: int) -> Family:
    """Return the family of an IP version, 4 or 6."""
    return "ipv4" if version == 4 else "ipv6"


def family_of_address(packed: bytes) -> Family:
    """Return the family of an address of 4 or 16 bytes."""
    return "ipv4" if len(packed) == 4 else "ipv6"
