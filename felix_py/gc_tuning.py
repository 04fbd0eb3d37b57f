"""Garbage-collector tuning for 100,000 routes."""

from __future__ import annotations

import gc

# Python's own figures (700, 10, 10) are for programs that hold little: with 100,000 routes a quarter of the time of
# a large change went into walking tuples that are in no cycle (measured by bench.fib).
_NEW_OBJECTS, _YOUNG_ROUNDS, _MIDDLE_ROUNDS = 50_000, 20, 50


def apply() -> None:
    """Leave what exists by now (modules, classes) out of the search for good, and search from now on, but seldom.

    What imports leave behind stays with it, 0.2 MB: to look for that took a twelfth of a start.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(_NEW_OBJECTS, _YOUNG_ROUNDS, _MIDDLE_ROUNDS)
