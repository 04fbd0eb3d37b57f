"""The node's routing table: which route each source wants, and which prefixes changed.

Pure: it knows neither the kernel nor a clock. Tables are plain mappings from prefix to path, and paths are
shared objects, so that a hundred thousand learned routes cost a dictionary and not a hundred thousand objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import IntEnum

from kernel.route import UNICAST, RouteSpec
from net.prefix import Prefix


class Source(IntEnum):
    """Who may want a route, the strongest claim first."""

    PODS = 0
    TUNNELS = 1
    LEARNED = 2
    BLOCKS = 3


def is_resolved(path: RouteSpec) -> bool:
    """True if a kernel could take the path. A unicast path without hops is wanted, but leads nowhere yet."""
    return bool(path.hops) or path.kind != UNICAST


class Rib:
    """Every route wanted, by source and prefix.

    `changed` collects the prefixes whose wanted routes differ since it was last taken: whoever carries the
    routes to the kernel takes it, and gives back what the kernel refused. It keeps the order in which they changed:
    what was made together lies together in memory, and in the order of its hashes a large table costs twice the time.
    """

    def __init__(self) -> None:
        self._tables: tuple[dict[Prefix, RouteSpec], ...] = tuple({} for _ in Source)
        self.changed: dict[Prefix, None] = {}

    def put(self, source: Source, prefix: Prefix, path: RouteSpec) -> None:
        table = self._tables[source]
        if table.get(prefix) != path:
            table[prefix] = path
            self.changed[prefix] = None

    def put_all(self, source: Source, wanted: Mapping[Prefix, RouteSpec]) -> None:
        """State many routes of one source; its others stay."""
        table = self._tables[source]
        known = table.get
        self.changed.update({prefix: None for prefix, path in wanted.items() if known(prefix) != path})
        table.update(wanted)

    def remove(self, source: Source, prefix: Prefix) -> None:
        if self._tables[source].pop(prefix, None) is not None:
            self.changed[prefix] = None

    def state(self, source: Source, wanted: Mapping[Prefix, RouteSpec]) -> None:
        """Make `wanted` all that the source wants; the difference is found here."""
        for prefix in self._tables[source].keys() - wanted.keys():
            self.remove(source, prefix)
        self.put_all(source, wanted)

    def look_again(self, prefixes: Iterable[Prefix]) -> None:
        """Count these as changed, though nobody wants anything else: the kernel may hold something else."""
        self.changed.update(dict.fromkeys(prefixes))

    def best(self, prefix: Prefix) -> RouteSpec | None:
        """Return the path of the strongest source that has a resolved one."""
        for table in self._tables:
            path = table.get(prefix)
            if path is not None and (path.hops or path.kind != UNICAST):  # is_resolved, without the call
                return path
        return None

    def best_source(self, prefix: Prefix) -> Source | None:
        """Return whose path `best` is."""
        for source in Source:
            path = self._tables[source].get(prefix)
            if path is not None and is_resolved(path):
                return source
        return None

    def take_changed(self) -> Collection[Prefix]:
        taken, self.changed = self.changed, {}
        return taken.keys()

    def in_use(self) -> tuple[Mapping[Prefix, RouteSpec], ...]:
        """Return the tables that are not empty, the strongest source first."""
        return tuple(table for table in self._tables if table)

    def wanted(self, source: Source) -> Mapping[Prefix, RouteSpec]:
        return self._tables[source]

    def prefixes(self) -> set[Prefix]:
        """Return every prefix that any source wants a route for."""
        return set().union(*self._tables)

    def unresolved(self) -> Iterator[tuple[Source, Prefix]]:
        """Yield the routes that are wanted, but whose next hop or device is not there."""
        for source in Source:
            for prefix, path in self._tables[source].items():
                if not is_resolved(path):
                    yield source, prefix

    def __len__(self) -> int:
        return len(self.prefixes())


def candidates(rib: Rib, prefix: Prefix) -> Iterable[tuple[Source, RouteSpec]]:
    """Return everybody's path for one prefix, the strongest first: what `felixctl routes` shows."""
    return [(source, path) for source in Source if (path := rib.wanted(source).get(prefix)) is not None]
