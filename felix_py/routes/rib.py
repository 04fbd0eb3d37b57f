"""The node's routing table: which route each source wants, and for which prefixes that changed.

Pure: it knows neither the kernel nor a clock. Tables are plain mappings from prefix to route spec, and specs are
shared objects, so that a hundred thousand learned routes cost a dictionary and not a hundred thousand objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import IntEnum

from kernel.route import UNICAST, RouteSpec
from net.prefix import Prefix


class Source(IntEnum):
    """Who may want a route, the strongest claim first."""

    PODS = 0
    TUNNELS = 1
    STATIC = 2
    LEARNED = 3
    BLOCKS = 4


def is_resolved(spec: RouteSpec) -> bool:
    """True if a kernel could take the route. A unicast one without hops is wanted, but its way is not there yet."""
    return bool(spec.hops) or spec.kind != UNICAST


class Rib:
    """Every route wanted, by source and prefix.

    `changed` collects the prefixes whose wanted routes differ since it was last taken. It keeps the order in which they
    changed: what was made together lies together in memory, and in the order of its hashes a large table costs twice
    the time.
    """

    def __init__(self) -> None:
        self._tables: tuple[dict[Prefix, RouteSpec], ...] = tuple({} for _ in Source)
        self.changed: dict[Prefix, None] = {}

    def put(self, source: Source, prefix: Prefix, spec: RouteSpec) -> None:
        table = self._tables[source]
        if table.get(prefix) != spec:
            table[prefix] = spec
            self.changed[prefix] = None

    def put_all(self, source: Source, wanted: Mapping[Prefix, RouteSpec]) -> AbstractSet[Prefix]:
        """State many routes of one source; its others stay. Return which of these prefixes it had a route for."""
        table = self._tables[source]
        known = table.keys() & wanted.keys()
        if known:
            before = table.get
            self.changed.update({prefix: None for prefix, spec in wanted.items() if before(prefix) != spec})
        else:  # the first time: no route is compared
            self.changed.update(dict.fromkeys(wanted))
        table.update(wanted)
        return known

    def remove(self, source: Source, prefix: Prefix) -> None:
        self.remove_all(source, (prefix,))

    def remove_all(self, source: Source, prefixes: Iterable[Prefix]) -> None:
        """Take back the routes of one source for these prefixes; those it has none for are no change."""
        table, changed = self._tables[source], self.changed
        for prefix in prefixes:
            if table.pop(prefix, None) is not None:
                changed[prefix] = None

    def state(self, source: Source, wanted: Mapping[Prefix, RouteSpec]) -> None:
        """Make `wanted` all that the source wants; the difference is found here."""
        self.remove_all(source, self._tables[source].keys() - wanted.keys())
        self.put_all(source, wanted)

    def best(self, prefix: Prefix) -> RouteSpec | None:
        """Return the route of the strongest source that has a resolved one."""
        for table in self._tables:
            spec = table.get(prefix)
            if spec is not None and (spec.hops or spec.kind != UNICAST):  # is_resolved, without the call
                return spec
        return None

    def best_source(self, prefix: Prefix) -> Source | None:
        """Return whose route `best` is."""
        for source in Source:
            spec = self._tables[source].get(prefix)
            if spec is not None and is_resolved(spec):
                return source
        return None

    def take_changed(self) -> AbstractSet[Prefix]:
        """Return the prefixes for which something else is wanted since this was last asked."""
        taken, self.changed = self.changed, {}
        return taken.keys()

    def in_use(self, without: Source | None = None) -> tuple[Mapping[Prefix, RouteSpec], ...]:
        """Return the tables that are not empty, the strongest source first; `without` that of one source."""
        return tuple(table for source, table in enumerate(self._tables) if table and source != without)

    def wanted(self, source: Source) -> Mapping[Prefix, RouteSpec]:
        return self._tables[source]

    def prefixes(self) -> set[Prefix]:
        """Return every prefix that any source wants a route for."""
        return set().union(*self._tables)

    def count(self) -> int:
        """Return for how many prefixes there is a best route. It costs the largest table's size, at once."""
        largest, *others = sorted(self._tables, key=len, reverse=True)
        elsewhere = {prefix for table in others for prefix, spec in table.items() if is_resolved(spec)}
        resolved = sum(1 for spec in largest.values() if spec.hops or spec.kind != UNICAST)
        return resolved + sum(1 for one in elsewhere if one not in largest or not is_resolved(largest[one]))

    def unresolved(self) -> Iterator[tuple[Source, Prefix]]:
        """Yield the routes that are wanted, but whose next hop or device is not there."""
        for source in Source:
            for prefix, spec in self._tables[source].items():
                if not is_resolved(spec):
                    yield source, prefix


def candidates(rib: Rib, prefix: Prefix) -> Iterable[tuple[Source, RouteSpec]]:
    """Return every source's route for one prefix, the strongest first: what `felixctl routes` shows."""
    return [(source, spec) for source in Source if (spec := rib.wanted(source).get(prefix)) is not None]
