"""Handles that count, or are about to count, addresses which their block does not assign yet.

To who reads handles and blocks meanwhile, such a handle looks idle. Whoever deletes it writes the block first, so that
the assignment under way loses its race: what was counted before another wrote the block is to be looked at again, when
the handle's own write has been heard of.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from datastore.fields import Network


class CountedHandles:
    """How much is counted ahead of each block, by handle, and what of it is in doubt."""

    def __init__(self) -> None:
        self._counted: defaultdict[Network, Counter[str]] = defaultdict(Counter)
        self._doubted: defaultdict[Network, set[str]] = defaultdict(set)

    @contextmanager
    def ahead(self, cidr: Network, handle: str, addresses: int) -> Iterator[None]:
        """Note that a handle counts so many addresses more than its block assigns to it, or is about to."""
        self._counted[cidr][handle] += addresses
        try:
            yield
        finally:
            self._counted[cidr][handle] -= addresses
            if not self._counted[cidr][handle]:
                del self._counted[cidr][handle]
                self.trust(cidr, handle)
            if not self._counted[cidr]:
                del self._counted[cidr]
                self._doubted.pop(cidr, None)

    def of(self, cidr: Network, handle: str) -> int:
        """Return how many addresses a handle counts ahead of a block."""
        return self._counted[cidr][handle] if cidr in self._counted else 0

    def doubt(self, cidr: Network) -> None:
        """Doubt all that is counted ahead of a block: another has written it."""
        if cidr in self._counted:
            self._doubted[cidr].update(self._counted[cidr])

    def doubted(self, cidr: Network, handles: Iterable[str]) -> set[str]:
        return self._doubted[cidr].intersection(handles) if cidr in self._doubted else set()

    def trust(self, cidr: Network, handle: str) -> None:
        if cidr in self._doubted:
            self._doubted[cidr].discard(handle)
