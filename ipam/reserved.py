"""Addresses that automatic assignment leaves out.

Pure. Reservations may be as large as a pool and lie in several pieces, so they are kept as merged ranges: a search can
step over one, and two halves reserve a block as one whole does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from msgspec import Struct

from datastore.fields import Network
from net.address_range import address_range


class Reserved(Struct, frozen=True):
    """The reserved addresses of one family, as ranges in ascending order that neither touch nor overlap."""

    firsts: tuple[int, ...] = ()
    lasts: tuple[int, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[Network], version: int) -> Reserved:
        """Return the union of those networks that are of this IP version."""
        firsts: list[int] = []
        lasts: list[int] = []
        ranges = (address_range(network) for network in networks if network.version == version)
        for first, last in sorted(ranges):
            if lasts and first <= lasts[-1] + 1:
                lasts[-1] = max(lasts[-1], last)
            else:
                firsts.append(first)
                lasts.append(last)
        return cls(tuple(firsts), tuple(lasts))

    def range_end(self, address: int) -> int | None:
        """Return the last address of the reserved range that holds `address`; None if it is not reserved."""
        nearest = bisect_right(self.firsts, address) - 1
        return self.lasts[nearest] if nearest >= 0 and address <= self.lasts[nearest] else None

    def covers(self, network: Network) -> bool:
        """True if every address of the network is reserved."""
        first, last = address_range(network)
        reserved_up_to = self.range_end(first)
        return reserved_up_to is not None and reserved_up_to >= last

    def ordinals(self, network: Network) -> frozenset[int]:
        """Return which addresses of a block are reserved, counted from its first."""
        base, end = address_range(network)
        return frozenset(
            address - base
            for first, last in zip(self.firsts, self.lasts, strict=True)
            if first <= end and last >= base
            for address in range(max(first, base), min(last, end) + 1)
        )
