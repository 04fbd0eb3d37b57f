"""The kernel's routes beside the best of the RIB, of a whole table some hundred at a time.

Pure. Nothing of the table's size is kept: a route that is right is counted, and so many right ones as are wanted means
that none is lacking. Only where one is, a second comparison, an exact one, keeps the prefixes to find out which.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from felix_py.routes.fib import Ownership
from felix_py.routes.rib import Rib
from kernel.route import BLACKHOLE, RouteSpec
from net.prefix import Prefix


def shows_the_best(rib: Rib, prefix: Prefix, match: tuple[Prefix, RouteSpec] | None) -> bool:
    """Whether it follows from what the kernel takes to the first address of a prefix that it holds the best route.

    match: None, there is no route, or one that drops packets. A route of another program with a lower metric, a longer
    one and a routing rule hide the route that is asked for, and IPv6 names several hops from any of them on: then
    nothing follows. Where none is wanted, one that is hidden by a rule, or drops packets to a single address, counts as
    none.
    """
    best = rib.best(prefix)
    if best is not None:
        return match == (prefix, best)
    return prefix.is_host if match is None else match[0].length < prefix.length


class Comparison:
    """kept: of our routes those that are not the best, and right or wrong those of pods and blocks."""

    def __init__(self, rib: Rib, ownership: Ownership, *, exact: bool = False) -> None:
        self._rib, self._ownership = rib, ownership
        self.kept: dict[Prefix, RouteSpec] = {}
        self._right = 0
        self._seen: set[Prefix] | None = set() if exact else None

    def take(self, routes: Iterable[tuple[Prefix, RouteSpec]]) -> None:
        """Take in some of the kernel's routes."""
        local, learned, metric = self._ownership
        best_of, kept, seen = self._rib.best, self.kept, self._seen
        for prefix, spec in routes:
            if spec.metric != metric or spec.protocol not in (local, learned):
                continue
            if best_of(prefix) != spec:
                kept[prefix] = spec
                continue
            self._right += 1
            if seen is not None:
                seen.add(prefix)
            if spec.protocol == local and (prefix.is_host or spec.kind == BLACKHOLE):
                kept[prefix] = spec

    @property
    def lacks_nothing(self) -> bool:
        """Whether the kernel holds the best of each prefix that has one, as far as their numbers tell."""
        return self._right == self._rib.count()

    def lacking(self) -> AbstractSet[Prefix]:
        """Return the prefixes of the RIB for which no route was seen, of an exact comparison."""
        return self._rib.prefixes() - (self._seen or set()) - self.kept.keys()
