from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.kube.watch_pauses import (
    FIRST_PAUSE_SECONDS,
    LONGEST_LOST_SECONDS,
    LONGEST_NOT_NOW_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Failure,
    WatchPauses,
)

LONGEST = {
    Failure.LOST: LONGEST_LOST_SECONDS,
    Failure.NOT_NOW: LONGEST_NOT_NOW_SECONDS,
    Failure.TOO_MANY: LONGEST_PAUSE_SECONDS,
    Failure.REFUSED: LONGEST_PAUSE_SECONDS,
}


@pytest.mark.parametrize("failure", Failure)
def test_pauses_grow_to_the_longest_of_their_kind(failure: Failure) -> None:
    pauses = WatchPauses(randomly=lambda: 0.5)
    found = [pauses.after(failure) for _ in range(20)]
    assert found[:3] == [FIRST_PAUSE_SECONDS * 2**n for n in range(3)]
    assert found == sorted(found)
    assert found[-1] == LONGEST[failure]


def test_a_server_that_cannot_serve_now_is_asked_again_well_within_ten_seconds() -> None:
    pauses = WatchPauses(randomly=lambda: 1.0)
    assert max(pauses.after(Failure.NOT_NOW) for _ in range(20)) < 10


def test_pauses_after_one_kind_of_failure_do_not_lengthen_those_after_another() -> None:
    pauses = WatchPauses(randomly=lambda: 0.5)
    for _ in range(20):
        pauses.after(Failure.LOST)
    assert pauses.after(Failure.NOT_NOW) == pauses.after(Failure.REFUSED) == FIRST_PAUSE_SECONDS


@pytest.mark.parametrize(("asked", "obeyed"), [(7.0, 7.0), (3600.0, LONGEST_PAUSE_SECONDS)])
def test_the_server_is_obeyed_within_reason(asked: float, obeyed: float) -> None:
    assert WatchPauses(randomly=lambda: 0.0).after(Failure.NOT_NOW, asked) == obeyed


@given(st.floats(0, 60), st.integers(0, 10))
def test_nobody_comes_earlier_than_asked_and_no_two_together(asked: float, failed: int) -> None:
    first, second = WatchPauses(randomly=lambda: 0.25), WatchPauses(randomly=lambda: 0.75)
    for _ in range(failed):
        first.after(Failure.TOO_MANY)
        second.after(Failure.TOO_MANY)
    turn = min(FIRST_PAUSE_SECONDS * 2**failed, LONGEST_PAUSE_SECONDS)
    earlier, later = first.after(Failure.TOO_MANY, asked), second.after(Failure.TOO_MANY, asked)
    assert min(asked, LONGEST_PAUSE_SECONDS) <= earlier
    assert later - earlier == pytest.approx(turn / 2)


def test_what_has_worked_begins_anew() -> None:
    pauses = WatchPauses(randomly=lambda: 0.5)
    pauses.after(Failure.REFUSED)
    pauses.reset()
    assert pauses.after(Failure.REFUSED) == FIRST_PAUSE_SECONDS


def test_no_two_of_many_pause_alike() -> None:
    pauses = [WatchPauses().after(Failure.NOT_NOW) for _ in range(20)]
    assert len({*pauses}) > 1
    assert all(FIRST_PAUSE_SECONDS / 2 <= pause <= FIRST_PAUSE_SECONDS * 1.5 for pause in pauses)
