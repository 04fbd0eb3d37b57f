"""What counts as growth, and what a run must not have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from soak.judge import SLACK, Run, failures, growth

MEMORY = "memory of the agent, MiB"


def a_run(memory: Callable[[int], float], pods: int = 1, left: tuple[str, ...] = (), seconds: float = 60) -> Run:
    """Return a run of a hundred looks, in which only memory changes."""
    samples = tuple(dict.fromkeys(SLACK, 100.0) | {MEMORY: memory(look)} for look in range(100))
    return Run(seconds, pods, addresses=pods, crashes=1, samples=samples, left=left)


def wrong(run: Run) -> list[str]:
    return list(failures(run, growth(run)))


def test_what_fills_before_the_middle_is_no_growth() -> None:
    assert wrong(a_run(lambda look: min(look, 40))) == []


def test_what_still_grows_behind_the_middle_is_told() -> None:
    assert wrong(a_run(lambda look: 100 + look)) == [f"grows: {MEMORY}"]


def test_peaks_at_the_end_are_no_growth_while_it_falls_back_between_them() -> None:
    assert wrong(a_run(lambda look: 1000 if look % 2 else 50)) == []


@pytest.mark.parametrize("name", SLACK)
def test_anything_that_is_twice_as_much_at_the_end_is_told(name: str) -> None:
    samples = tuple(dict.fromkeys(SLACK, 1e6) | {name: 1e6 if look < 70 else 2e6} for look in range(100))
    assert wrong(Run(60, 1, 1, 1, samples)) == [f"grows: {name}"]


def test_a_run_in_which_nothing_happened_or_something_is_left_fails() -> None:
    assert wrong(a_run(lambda look: 50, pods=0)) == [
        "too few pods: 0 ADDs and DELs in 1 min, of 1 at least",
        "too few addresses: 0 operations of IPAM in 1 min, of 1 at least",
    ]
    assert wrong(a_run(lambda look: 50, left=("handle x",))) == ["left behind: handle x"]


def test_a_run_of_hardly_a_look_is_no_run() -> None:
    run = a_run(lambda look: 50)
    few = Run(0.6, run.pods, run.addresses, run.crashes, run.samples[:4])
    assert wrong(few) == ["too short to see growth: 4 looks, of 5 at least"]
    assert wrong(Run(0.6, run.pods, run.addresses, run.crashes, run.samples[:5])) == []


def test_an_hour_is_to_have_seen_as_much_as_is_promised_of_it() -> None:
    assert wrong(a_run(lambda look: 50, pods=999_999, seconds=3600)) == [
        "too few addresses: 999,999 operations of IPAM in 60 min, of 1,000,000 at least"
    ]
    assert wrong(a_run(lambda look: 50, pods=999_999, seconds=3599)) == []
    assert wrong(a_run(lambda look: 50, pods=1_000_000, seconds=3600)) == []
