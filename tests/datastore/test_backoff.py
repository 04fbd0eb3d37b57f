"""Pauses grow to their last, begin anew after a success, and are never the same for many."""

from __future__ import annotations

from datastore.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_last() -> None:
    backoff = Backoff(0.5, 3.0, randomly=lambda: 0.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_after_a_success_it_begins_anew() -> None:
    backoff = Backoff(0.5, 3.0, randomly=lambda: 0.0)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.5


def test_up_to_a_tenth_is_random() -> None:
    assert Backoff(10.0, 10.0, randomly=lambda: 1.0).next() == 11.0
    assert 10.0 <= Backoff(10.0, 10.0).next() <= 11.0
