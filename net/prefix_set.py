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
        # For each length among them also how many bits are behind it.
        self._lengths: dict[int, list[tuple[int, int, set[int]]]] = {4: [], 16: []}
        for (size, length), numbers in by_length.items():
            self._lengths[size].append((length, 8 * size - length, numbers))

    def contains(self, prefix: Prefix) -> bool:
        """True if `prefix` lies within one of the networks, or is one of them."""
        packed, own_length = prefix
        number = int.from_bytes(packed)
        for length, beyond, numbers in self._lengths[len(packed)]:
            if length <= own_length and number >> beyond in numbers:
                return True
        return False
