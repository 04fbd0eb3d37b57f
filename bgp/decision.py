"""Which of several paths to one prefix is used.

Pure: no I/O, no clock, no logging. Accepting a path at all is the import policy's decision, made before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bgp.speaker import LOCAL_PREFERENCE, Attributes

# The kernel takes more, but nothing is gained by spreading one block over more nodes than this.
MAX_EQUAL_PATHS = 16

_ORIGIN_RANK = {"igp": 0, "egp": 1, "incomplete": 2}


class CandidatePath(NamedTuple):
    """One accepted path. `external` says that the session it came by crosses an AS boundary."""

    attributes: Attributes
    external: bool


def best_paths(paths: Iterable[CandidatePath]) -> tuple[CandidatePath, ...]:
    """Return the equally good paths among those that lead to one prefix, lowest next hop first.

    Each step keeps what is best by one measure, in the order of RFC 4271 §9.1.2.2: local preference, AS path length,
    origin, MED among paths of one neighbouring AS, external before internal. The cost of reaching a next hop is left
    out (the kernel resolves next hops), and so are the tie-breakers after it: paths that agree so far share the load.
    """
    left = list(paths)
    if len(left) > 1:
        left = _lowest(left, lambda path: -_preference(path.attributes))
        left = _lowest(left, lambda path: path.attributes.as_path_length)
        left = _lowest(left, lambda path: _ORIGIN_RANK.get(path.attributes.origin or "", 3))
        left = _lowest_med_per_neighbouring_as(left)
        left = _lowest(left, lambda path: not path.external)
        left.sort(key=lambda path: path.attributes.next_hop)
    return tuple(left)


def next_hops(paths: Iterable[CandidatePath]) -> tuple[bytes, ...]:
    """Return the next hops of the best paths, each once, lowest first, at most MAX_EQUAL_PATHS."""
    distinct = dict.fromkeys(path.attributes.next_hop for path in best_paths(paths))
    return tuple(distinct)[:MAX_EQUAL_PATHS]


def _preference(attributes: Attributes) -> int:
    """A path without LOCAL_PREF (every external one) counts as a Calico node counts it: with the normal metric."""
    return LOCAL_PREFERENCE if attributes.local_preference is None else attributes.local_preference


def _lowest(paths: Sequence[CandidatePath], measure: Callable[[CandidatePath], int]) -> list[CandidatePath]:
    lowest = min(map(measure, paths))
    return [path for path in paths if measure(path) == lowest]


def _lowest_med_per_neighbouring_as(paths: Sequence[CandidatePath]) -> list[CandidatePath]:
    lowest: dict[int, int] = {}
    for path in paths:
        neighbour, med = _neighbouring_as(path.attributes), path.attributes.med or 0
        lowest[neighbour] = min(med, lowest.get(neighbour, med))
    return [path for path in paths if (path.attributes.med or 0) == lowest[_neighbouring_as(path.attributes)]]


def _neighbouring_as(attributes: Attributes) -> int:
    """Return the AS a path was received from, 0 for one that began in ours (RFC 4271 §9.1.2.2 c)."""
    for segment in attributes.as_path:
        if segment.kind == "sequence" and segment.numbers:
            return segment.numbers[0]
    return 0
