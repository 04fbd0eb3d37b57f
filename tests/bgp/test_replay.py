"""Whatever the connections repeat, what is reported in the end is what the last one holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgp.replay import ReplayTracker
from net.prefix import Prefix

ONE, TWO, THREE = (Prefix.parse(f"10.65.{n}.0/26") for n in range(3))
tables = st.sets(st.sampled_from([ONE, TWO, THREE]))


def test_what_a_new_connection_does_not_repeat_is_withdrawn_once_it_has_converged() -> None:
    replay = ReplayTracker()
    replay.connected([ONE, TWO])
    replay.said([TWO, THREE])
    assert replay.converged() == (ONE,)
    assert replay.converged() == ()


def test_what_was_withdrawn_is_not_withdrawn_twice() -> None:
    replay = ReplayTracker()
    replay.connected([ONE, TWO])
    replay.said([ONE])
    assert replay.converged() == (TWO,)


@given(st.lists(st.tuples(tables, tables, st.booleans())))
def test_after_convergence_exactly_what_the_last_connection_holds_is_held(
    connections: list[tuple[set[Prefix], set[Prefix], bool]],
) -> None:
    """Each connection replays a table, withdraws some of it, and converges or ends before."""
    replay, held = ReplayTracker(), set[Prefix]()
    for table, withdrawn, converges in connections:
        replay.connected(held)
        replay.said(table)
        held |= table
        replay.said(withdrawn)
        held -= withdrawn
        if converges:
            held -= set(replay.converged())
            assert held == table - withdrawn
