"""Does any of these networks hold that one?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from net.prefix import Prefix


class PrefixSet:
    """A fixed set of networks. A question costs one look-up for each length among those that begin alike, if any do."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        # By how many bytes an address has and the first of them: networks by their lengths, without the bits behind.
        groups: dict[int, dict[int, dict[int, set[int]]]] = {4: {}, 16: {}}
        for prefix in prefixes:
            number = int.from_bytes(prefix.packed) >> (prefix.bits - prefix.length)
            for first in _first_bytes(prefix):
                group = groups[len(prefix.packed)].setdefault(first, {})
                group.setdefault(prefix.length, set()).add(number)
        # For each length also how many bits are behind it.
        self._groups: dict[int, dict[int, list[tuple[int, int, set[int]]]]] = {
            size: {
                first: [(length, 8 * size - length, numbers) for length, numbers in group.items()]
                for first, group in firsts.items()
            }
            for size, firsts in groups.items()
        }

    def contains(self, prefix: Prefix) -> bool:
        """True if `prefix` lies within one of the networks, or is one of them."""
        packed, own_length = prefix
        beginnings = self._groups[len(packed)]
        if packed[0] not in beginnings:
            return False
        number = int.from_bytes(packed)
        for length, beyond, numbers in beginnings[packed[0]]:
            if length <= own_length and number >> beyond in numbers:
                return True
        return False


def _first_bytes(network: Prefix) -> range:
    """Return the first bytes that addresses of a network have."""
    first = network.packed[0]
    return range(first, first + (1 << max(0, 8 - network.length)))
