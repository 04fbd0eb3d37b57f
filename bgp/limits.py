"""What one peer may cost this node: how many paths and next hops, and how much its paths say.

Pure: no I/O, no clock, no logging. One number sets all: the prefix limit of the peer. What is beyond is refused and the
session stays, as of a peer that is a router of ours it carries the rest of the cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from bgp.import_policy import RejectReason
from bgp.speaker import Attributes

VALUES_OF_A_PATH = 1000
VALUES_PER_PREFIX, PREFIXES_PER_NEXT_HOP, NEXT_HOPS_AT_LEAST = 50, 4, 1000
WARN_AT, WARN_UNTIL = 0.75, 0.6  # shares of a limit

LIFTED_BY_WITHDRAWALS = (RejectReason.OVER_LIMIT, RejectReason.TOO_MANY_NEXT_HOPS, RejectReason.TOO_MUCH)
"""Reasons that end when the peer has withdrawn enough, or may send more. It sends what was refused if asked to."""


class Share(NamedTuple):
    """How much of one limit a peer uses."""

    of: str
    used: int
    limit: int

    @property
    def part(self) -> float:
        return self.used / self.limit if self.limit else 1.0

    def __str__(self) -> str:
        return f"{self.used} of {self.limit} {self.of}"


class Usage:
    """What the stored paths of one peer use. Those that are rejected count too: they are kept for other rules."""

    __slots__ = ("_latest", "_latest_values", "_next_hops", "_paths", "_values")

    def __init__(self) -> None:
        self._paths = self._values = 0
        self._next_hops = Counter[bytes]()
        self._latest: Attributes | None = None  # those of all prefixes of an UPDATE are one object, counted once
        self._latest_values = 0

    def exceeded(self, before: Attributes | None, now: Attributes, prefix_limit: int) -> RejectReason | None:
        """Return which limit a path would exceed that takes the place of `before`, or of nothing."""
        values = self._values_of(now)
        if values > VALUES_OF_A_PATH:
            return RejectReason.TOO_LONG
        if before is None and self._paths >= prefix_limit:
            return RejectReason.OVER_LIMIT
        given_back = before is not None and self._next_hops[before.next_hop] == 1
        if now.next_hop not in self._next_hops and len(self._next_hops) - given_back >= next_hop_limit(prefix_limit):
            return RejectReason.TOO_MANY_NEXT_HOPS
        replaced = 0 if before is None else values_of(before)
        return RejectReason.TOO_MUCH if self._values - replaced + values > value_limit(prefix_limit) else None

    def room(self, now: Attributes, prefix_limit: int) -> int:
        """Return how many more paths with these attributes exceed no limit, where none takes another's place."""
        values = self._values_of(now)
        next_hops = len(self._next_hops) + (now.next_hop not in self._next_hops)
        if values > VALUES_OF_A_PATH or next_hops > next_hop_limit(prefix_limit):
            return 0
        room = prefix_limit - self._paths
        if values:
            room = min(room, (value_limit(prefix_limit) - self._values) // values)
        return max(room, 0)

    def add(self, now: Attributes, count: int) -> None:
        """Count so many paths with these attributes, none in the place of another."""
        if count:
            self._paths += count
            self._values += count * self._values_of(now)
            self._next_hops[now.next_hop] += count

    def replace(self, before: Attributes | None, now: Attributes | None) -> None:
        """Count one path in the place of another; None: no path."""
        if before is not None:
            self._paths -= 1
            self._values -= values_of(before)
            self._next_hops[before.next_hop] -= 1
            if not self._next_hops[before.next_hop]:
                del self._next_hops[before.next_hop]
        if now is not None:
            self._paths += 1
            self._values += self._values_of(now)
            self._next_hops[now.next_hop] += 1

    def _values_of(self, attributes: Attributes) -> int:
        if attributes is not self._latest:
            self._latest, self._latest_values = attributes, values_of(attributes)
        return self._latest_values

    def shares(self, prefix_limit: int) -> Iterator[Share]:
        yield Share("paths", self._paths, prefix_limit)
        yield Share("next hops", len(self._next_hops), next_hop_limit(prefix_limit))
        yield Share("AS numbers and communities", self._values, value_limit(prefix_limit))


def values_of(attributes: Attributes) -> int:
    """Return how many AS numbers, communities and the like a path has; 8 bytes of an unknown attribute are one."""
    values = (
        len(attributes.communities)
        + len(attributes.large_communities)
        + len(attributes.extended_communities)
        + len(attributes.cluster_list)
    )
    for segment in attributes.as_path:
        values += len(segment.numbers)
    for unknown in attributes.unknown:
        values += 1 + len(unknown.value) // 8
    return values


def next_hop_limit(prefix_limit: int) -> int:
    return max(min(prefix_limit, NEXT_HOPS_AT_LEAST), prefix_limit // PREFIXES_PER_NEXT_HOP)


def value_limit(prefix_limit: int) -> int:
    """At least so much that below WARN_AT there is room for any one path, else it is asked for again and again."""
    return max(4 * VALUES_OF_A_PATH, prefix_limit * VALUES_PER_PREFIX)
