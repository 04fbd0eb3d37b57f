"""The page that a person reads."""

from __future__ import annotations

import io

from msgspec.structs import replace
from rich.console import Console

from lab.report import show
from lab.state_model import InvariantCount, LabState, PingCount, PodState, SessionCount
from tests.lab.state import lab_state, lab_state_with_a_refusal


def page(state: LabState, left: list[str]) -> str:
    console = Console(width=110, record=True, file=io.StringIO())
    show(console, state, left)
    return console.export_text()


def test_a_good_run_has_no_faults_and_says_so() -> None:
    text = page(lab_state(), [])
    assert "every pod reaches every other" in text
    assert "10.65.0.1/32 dev cali1 proto 80 metric 1030 scope link" in text
    assert "own block: unused addresses" in text


def test_every_kind_of_fault_is_a_sentence() -> None:
    bad = replace(
        lab_state(),
        sessions=SessionCount(2, 1),
        pings=PingCount(2, 1),
        matrix={"n1-1": {}, "n2-1": {"n1-1": 0.5}},
        seconds={"up": 1.0},
        invariants=InvariantCount(8, ("n1: 7. a blackhole is a pod's address",)),
    )
    text = page(bad, ["link cali1"])
    for sentence in (
        "only 1 of 2 sessions are up",
        "1 of 2 pings were lost",
        "the pods did not all reach one another in time",
        "invariant violated on n1: 7. a blackhole is a pod's address",
        "left behind: link cali1",
        "lost",
    ):
        assert sentence in text


def test_a_large_matrix_is_summed_up_by_node() -> None:
    names = [f"n{i % 2 + 1}-{i}" for i in range(100)]
    pods = tuple(PodState(name, name[:2], ("10.65.0.1",)) for name in names)
    matrix = {name: {other: 0.1 for other in names if other != name} for name in names}
    text = page(replace(lab_state(), matrix=matrix, pods=pods), [])
    assert text.count("4950/4950") == 2
    assert text.count("and 26 more") == 2


def test_many_routes_of_one_source_do_not_hide_those_of_another() -> None:
    first, *others = lab_state().nodes
    first = replace(first, routes=first.routes[:1] * 100 + first.routes[1:])
    text = page(replace(lab_state(), nodes=(first, *others)), [])
    assert "and 76 more" in text
    assert text.count("blackhole 10.65.0.0/26") == 2


def test_pods_refused_as_expected_are_no_fault_and_are_shown_with_their_error() -> None:
    text = page(lab_state_with_a_refusal(1), [])
    assert "strictAffinity forbids borrowing" in text
    assert "every pod reaches every other; 1 pod refused, as expected" in text
