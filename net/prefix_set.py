"""Does any of these networks hold that one?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from net.prefix import Prefix


class PrefixSet:
    """A fixed set of networks. A question costs one look-up for each length among them, however many they are."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        by_length: dict[tuple[int, int], set[int]] = {}
        for prefix in prefixes:
            number = int.from_bytes(prefix.packed) >> (prefix.bits - prefix.length)
            by_length.setdefault((len(prefix.packed), prefix.length), set()).add(number)
        self._lengths: dict[int, list[tuple[int, set[int]]]] = {4: [], 16: []}
        for (size, length), numbers in by_length.items():
            self._lengths[size].append((length, numbers))

    def contains(self, prefix: Prefix) -> bool:
        """True if `prefix` lies within one of the networks, or is one of them."""
        packed, own_length = prefix
        number, bits = int.from_bytes(packed), 8 * len(packed)
        for length, numbers in self._lengths[len(packed)]:
            if length <= own_length and number >> (bits - length) in numbers:
                return True
        return False
