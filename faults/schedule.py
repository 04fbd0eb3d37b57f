"""Which faults a run makes, in which order and where.

Pure: a function of seed and minutes, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from random import Random

from msgspec import Struct

from faults.kinds import KINDS, Kind

NODES = ("n1", "n2", "n3")
QUIET_SECONDS = 0.3  # between two faults: what is lost then is no fault's


class Fault(Struct, frozen=True):
    """One fault. node: where it is made. other: the other node, where a fault has two. seconds: how long it lasts.

    choice: which one of several it meets, such as routes, by its remainder.
    """

    kind: str
    node: str
    other: str
    seconds: float = 0.0
    choice: int = 0


def schedule(seed: int, minutes: float, only: Collection[str] = ()) -> tuple[Fault, ...]:
    """Return the faults of a run, in order: one of each cheap kind, then rounds of all kinds, as many as fit in.

    What fits follows from how long each lasts and what its kind is expected to take after it; a slow machine takes
    longer for the same faults, a fast one less. only: the names of the kinds to choose from; none: all.
    """
    kinds = [kind for kind in KINDS.values() if not only or kind.name in only]
    random = Random(seed)
    left = minutes * 60
    chosen = []
    for kind in _kinds_in_turn(random, kinds):
        fault = _fault(random, kind)
        left -= expected_seconds(fault)
        if left < 0:
            break
        chosen.append(fault)
    return tuple(chosen)


def expected_seconds(fault: Fault) -> float:
    """Return how much of a run a fault is expected to take, with the pause before it."""
    return QUIET_SECONDS + fault.seconds + KINDS[fault.kind].repaired_after


def _kinds_in_turn(random: Random, kinds: Collection[Kind]) -> Iterator[Kind]:
    yield from _shuffled(random, (kind for kind in kinds if kind.cheap))
    while True:
        yield from _shuffled(random, kinds)


def _shuffled(random: Random, kinds: Iterable[Kind]) -> list[Kind]:
    """Return the kinds in an order of chance, from an order that does not depend on the table's."""
    by_name = sorted(kinds, key=lambda kind: kind.name)
    return random.sample(by_name, len(by_name))


def _fault(random: Random, kind: Kind) -> Fault:
    node, other = random.sample(NODES, 2)
    return Fault(kind.name, node, other, round(random.uniform(*kind.lasts), 2), random.randrange(1 << 16))
