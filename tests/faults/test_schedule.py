"""Which faults a run makes follows from seed and minutes alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faults.kinds import KINDS
from faults.schedule import NODES, expected_seconds, schedule

SEEDS = st.integers(-(1 << 40), 1 << 40)
MINUTES = st.floats(0, 10)


@given(SEEDS, MINUTES)
def test_the_same_seed_gives_the_same_faults(seed: int, minutes: float) -> None:
    assert schedule(seed, minutes) == schedule(seed, minutes)


@given(SEEDS, MINUTES, MINUTES)
def test_a_longer_run_begins_with_the_faults_of_a_shorter_one(seed: int, one: float, other: float) -> None:
    shorter, longer = schedule(seed, min(one, other)), schedule(seed, max(one, other))
    assert longer[: len(shorter)] == shorter


@given(SEEDS, MINUTES)
def test_each_fault_is_one_that_can_be_made(seed: int, minutes: float) -> None:
    for fault in schedule(seed, minutes):
        least, most = KINDS[fault.kind].lasts
        assert least <= fault.seconds <= most
        assert {fault.node, fault.other} < set(NODES)
        assert fault.node != fault.other


@given(SEEDS, MINUTES)
def test_the_faults_fit_into_the_minutes(seed: int, minutes: float) -> None:
    expected = sum(map(expected_seconds, schedule(seed, minutes)))
    assert expected <= minutes * 60 + 1e-6


@given(SEEDS, MINUTES)
def test_no_time_is_left_for_one_more_fault(seed: int, minutes: float) -> None:
    count = len(schedule(seed, minutes))
    assert sum(map(expected_seconds, schedule(seed, minutes + 1)[: count + 1])) > minutes * 60


@given(SEEDS)
def test_one_minute_has_each_cheap_kind(seed: int) -> None:
    assert {kind.name for kind in KINDS.values() if kind.cheap} <= {fault.kind for fault in schedule(seed, 1)}


@given(SEEDS)
def test_five_minutes_have_each_kind(seed: int) -> None:
    assert {fault.kind for fault in schedule(seed, 5)} == set(KINDS)


@given(SEEDS)
def test_a_run_can_be_of_chosen_kinds_only(seed: int) -> None:
    assert {fault.kind for fault in schedule(seed, 1, ["kill agent", "unplugged"])} == {"kill agent", "unplugged"}


def test_seeds_differ() -> None:
    assert len({schedule(seed, 1) for seed in range(20)}) == 20
