"""The numbers of a run, and what of them is a fault."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from lab.state_model import InvariantCount, PingCount, SessionCount
from lab.verdict import attributable, faults, run_numbers
from tests.lab.state import lab_state, lab_state_with_a_refusal


def test_the_numbers_are_exactly_those_that_machines_expect() -> None:
    assert run_numbers(lab_state(), []) == {
        "nodes": 2,
        "pods": 2,
        "sessions": {"expected": 2, "established": 2},
        "pings": {"sent": 2, "lost": 0},
        "seconds": {"up": 1.0, "established": 2.0, "reachable": 2.5, "total": 3.0},
        "invariants": {"checked": 8, "violated": []},
        "leftovers": [],
    }


def test_a_good_run_has_no_faults() -> None:
    assert faults(lab_state(), []) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sessions": SessionCount(2, 1)}, "only 1 of 2 sessions are up"),
        ({"pings": PingCount(2, 1)}, "1 of 2 pings were lost"),
        ({"seconds": {"up": 1.0}}, "the pods did not all reach one another in time"),
        ({"invariants": InvariantCount(0)}, "no agent has checked its invariants"),
        ({"invariants": InvariantCount(8, ("n1: 7. text",))}, "invariant violated on n1: 7. text"),
    ],
)
def test_every_kind_of_fault_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert faults(replace(lab_state(), **changes), []) == [sentence]


def test_what_is_left_behind_is_a_fault_unless_any_program_may_have_made_it() -> None:
    left = ["link cali1", "file /tmp/x", "file /dev/shm/x"]
    assert attributable(left) == ["link cali1"]
    assert faults(lab_state(), left) == ["left behind: link cali1"]


def test_pods_that_are_refused_as_expected_are_no_fault() -> None:
    state = lab_state_with_a_refusal(1)
    assert run_numbers(state, [])["refused"] == {"n2": {"expected": 1, "refused": 1}}
    assert faults(state, []) == []


def test_more_or_fewer_refused_pods_than_expected_are_a_fault() -> None:
    assert faults(lab_state_with_a_refusal(2), []) == ["pods refused on n2: 1, while the spec expects 2"]
