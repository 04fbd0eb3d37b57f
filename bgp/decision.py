"""Which of several paths to one prefix is used.

Pure: no I/O, no clock, no logging. Accepting a path at all is the import policy's decision, made before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from bgp.speaker import LOCAL_PREFERENCE, Attributes, LearnedPath, LearnedPaths

# The kernel takes more, but nothing is gained by spreading one block over more nodes than this.
MAX_EQUAL_PATHS = 16

_ORIGIN_RANK = {"igp": 0, "egp": 1, "incomplete": 2}


class CandidatePath(NamedTuple):
    """One accepted path. `external` says that the session it came by crosses an AS boundary."""

    attributes: Attributes
    external: bool
    peer: str


class DecisionStep(StrEnum):
    """A step of RFC 4271 §9.1.2.2 at which a path can lose; the text says what was wrong with the loser."""

    LOCAL_PREFERENCE = "lower local preference"
    AS_PATH_LENGTH = "longer AS path"
    ORIGIN = "worse origin"
    MED = "higher MED"
    EXTERNAL = "internal, and there is an external path"
    MULTIPATH_LIMIT = f"equally good, beyond the {MAX_EQUAL_PATHS} next hops in use"


def best_paths(paths: Iterable[CandidatePath]) -> tuple[CandidatePath, ...]:
    """Return the equally good paths among those that lead to one prefix, lowest next hop first.

    Each step keeps what is best by one measure, in the order of RFC 4271 §9.1.2.2: local preference, AS path length,
    origin, MED among paths of one neighbouring AS, external before internal. The cost of reaching a next hop is left
    out (the kernel resolves next hops), and so are the tie-breakers after it: paths that agree so far share the load.
    """
    left = list(paths)
    if len(left) > 1:
        for _, best_of in _STEPS:
            left = best_of(left)
        left.sort(key=lambda path: path.attributes.next_hop)
    return tuple(left)


def lost_at(paths: Sequence[CandidatePath]) -> tuple[DecisionStep | None, ...]:
    """Return for each of the paths to one prefix the step at which it lost, None for those in use."""
    left, lost = list(paths), dict[CandidatePath, DecisionStep]()
    for step, best_of in _STEPS:
        best = best_of(left) if left else []
        lost.update((path, step) for path in left if path not in best)
        left = best
    in_use = set(learned_paths(left))
    lost.update((path, DecisionStep.MULTIPATH_LIMIT) for path in left if _learned(path) not in in_use)
    return tuple(lost.get(path) for path in paths)


def learned_paths(paths: Sequence[CandidatePath]) -> LearnedPaths:
    """Return next hop and peer of the best paths, each once, lowest first; at most MAX_EQUAL_PATHS next hops."""
    if len(paths) == 1:
        [path] = paths
        return _alone(path.attributes.next_hop, path.peer)
    distinct = sorted(set(map(_learned, best_paths(paths))))
    if len(distinct) > MAX_EQUAL_PATHS:
        used = set(list(dict.fromkeys(path.next_hop for path in distinct))[:MAX_EQUAL_PATHS])
        distinct = [path for path in distinct if path.next_hop in used]
    return _shared(tuple(distinct))


def _learned(path: CandidatePath) -> LearnedPath:
    return LearnedPath(path.attributes.next_hop, path.peer)


@lru_cache(maxsize=4096)
def _alone(next_hop: bytes, peer: str) -> LearnedPaths:
    return _shared((LearnedPath(next_hop, peer),))


@lru_cache(maxsize=4096)
def _shared(paths: LearnedPaths) -> LearnedPaths:
    """Return the first tuple equal to this one: most prefixes of a peer share theirs."""
    return paths


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


_STEPS: tuple[tuple[DecisionStep, Callable[[Sequence[CandidatePath]], list[CandidatePath]]], ...] = (
    (DecisionStep.LOCAL_PREFERENCE, lambda paths: _lowest(paths, lambda path: -_preference(path.attributes))),
    (DecisionStep.AS_PATH_LENGTH, lambda paths: _lowest(paths, lambda path: path.attributes.as_path_length)),
    (DecisionStep.ORIGIN, lambda paths: _lowest(paths, lambda path: _ORIGIN_RANK.get(path.attributes.origin or "", 3))),
    (DecisionStep.MED, _lowest_med_per_neighbouring_as),
    (DecisionStep.EXTERNAL, lambda paths: _lowest(paths, lambda path: not path.external)),
)
