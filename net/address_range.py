"""Networks of `ipaddress` as ranges of numbers.

Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network


def address_range(network: IPv4Network | IPv6Network) -> tuple[int, int]:
    """Return the first and the last address of a network as numbers."""
    first = int(network.network_address)
    return first, first + network.num_addresses - 1


def lies_in(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    """True if a network is part of another, or is it. Families never mix."""
    first, last = address_range(outer)
    return inner.version == outer.version and first <= address_range(inner)[0] and address_range(inner)[1] <= last
