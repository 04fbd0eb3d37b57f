"""The bare loop puts what our writer puts, and takes all of it out again."""

from __future__ import annotations

import pytest

from bench.fib import Load, bare, ours


@pytest.mark.parametrize("size", [4, 16])
def test_a_third_party_counts_all_routes_of_ours_and_of_the_bare_loop_in_and_out(size: int) -> None:
    load = Load(size, 400)  # more than one batch
    for turn in (ours(load), bare(load)):
        assert min(turn.put.seconds, turn.remove.seconds) > 0
