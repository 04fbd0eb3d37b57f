"""Many prefixes as JSON, in bulk: those of one family and length are one text, their addresses in hexadecimal digits.

Pure: no I/O, no clock, no logging. `[["ipv4", 26, "0a410100 0a410140"]]` takes a fifth of the time at each end that
`["10.65.1.0/26", "10.65.1.64/26"]` takes, where each prefix is written and read by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

from net.family import Family, family_of_address
from net.prefix import Prefix

_SIZES: dict[Family, int] = {"ipv4": 4, "ipv6": 16}  # bytes of an address


def packed(prefixes: Iterable[Prefix]) -> list[list[Any]]:
    """Return `[[family, length, addresses], …]`; the order is kept among those of one family and length."""
    groups: dict[tuple[int, int], list[bytes]] = {}
    for address, length in prefixes:
        key = length, len(address)
        group = groups.get(key)
        if group is None:
            group = groups[key] = []
        group.append(address)
    return [
        [family_of_address(addresses[0]), length, b"".join(addresses).hex(" ", size)]
        for (length, size), addresses in groups.items()
    ]


def unpacked(groups: Iterable[Any]) -> list[Prefix]:
    """Return the prefixes. Raises ValueError, KeyError or TypeError: the groups are not of `packed`."""
    found: list[Prefix] = []
    for family, length, text in groups:
        addresses, size = bytes.fromhex(text), _SIZES[family]
        if not 0 <= length <= 8 * size or len(addresses) % size:
            raise ValueError(f"not {family} prefixes of {length} bits: {len(addresses)} bytes")
        behind = ((1 << 8 * size - length) - 1).to_bytes(size)  # the bits of an address that have to be 0
        if int.from_bytes(addresses) & int.from_bytes(behind * (len(addresses) // size)):
            raise ValueError(f"not {family} prefixes of {length} bits: bits are set behind the length")
        each = [addresses[at : at + size] for at in range(0, len(addresses), size)]
        found += map(Prefix, each, repeat(length))
    return found
