from __future__ import annotations

import pytest

from controller.losses import Doubt, Lost, lost_addresses, lost_hosts


@pytest.mark.parametrize(
    ("lost", "suspicious"),
    [
        (lost_hosts(4, 0), False),  # a small cluster may well lose four nodes
        (lost_hosts(5, 5), False),
        (lost_hosts(6, 5), True),
        (lost_hosts(100, 0), True),
        (lost_addresses(49, 49), False),
        (lost_addresses(50, 100), False),
        (lost_addresses(51, 100), True),
    ],
)
def test_most_of_many_is_suspicious(lost: Lost, suspicious: bool) -> None:
    assert lost.is_suspicious is suspicious


def test_a_loss_is_held_for_a_time_and_then_acted_on() -> None:
    doubt, why = Doubt(3600).looked(lost_hosts(9, 1), 100)
    assert why.startswith("9 of 10 hosts that claim blocks are no nodes any more")
    assert "for 60 min more" in why
    doubt, why = doubt.looked(lost_hosts(9, 1), 3699)
    assert why
    doubt, why = doubt.looked(lost_hosts(9, 1), 3700)
    assert not why


def test_a_loss_that_is_over_begins_anew_when_it_comes_again() -> None:
    doubt, _ = Doubt(3600).looked(lost_hosts(9, 1), 100)
    doubt, why = doubt.looked(lost_hosts(1, 9), 200)
    assert not why
    assert doubt.looked(lost_hosts(9, 1), 3700)[1]


def test_a_time_of_0_holds_nothing() -> None:
    assert not Doubt(0).looked(lost_hosts(100, 0), 100)[1]
