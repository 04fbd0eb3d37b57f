"""Whose fault a lost probe is, and what a run must not have."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from faults.judge import BETWEEN, failures, losses, numbers
from faults.record import Run
from tests.faults.records import KILL, STOP, record


@pytest.mark.parametrize(
    ("moment", "window"),
    [(1.0, 2), (1.96, 0), (2.0, 0), (3.5, 0), (3.7, 2), (4.0, 1), (7.0, 1), (7.1, 2)],
)
def test_a_lost_probe_is_the_faults_in_whose_window_it_was_sent(moment: float, window: int) -> None:
    assert [sum(pairs.values()) for pairs in losses(record(moment))] == [int(window == number) for number in range(3)]


def test_the_numbers_are_those_that_were_asked_for() -> None:
    assert numbers(record(2.5, 2.6, 7.5)) == {
        "seed": 7,
        "seconds": 8.0,
        "faults": {"kill agent": 1, "stop exabgp": 1},
        "probes": {"sent": 2400, "lost": 3, "lost_by_fault": {"kill agent": 2, "stop exabgp": 0, BETWEEN: 1}},
        "operations": 40,
        "leaks": 0,
        "invariants": {"checked": 96, "violated": 0},
        "tracebacks": 0,
    }


def test_a_run_as_it_should_be_has_no_failure() -> None:
    assert not list(failures(record()))


def test_on_a_busy_machine_what_a_foreign_change_cost_is_not_judged() -> None:
    changed = replace(KILL, fault=replace(KILL.fault, kind="route deleted"))
    run = replace(record(2.5, 2.6, 2.7), windows=(changed, STOP))
    assert list(failures(run)) == ["fault 1, route deleted on n1: 3 probes were lost; at most 2 may be"]
    assert not list(failures(run, busy=True))
    assert list(failures(record(2.5), busy=True))


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (record(2.5), "fault 1, kill agent on n1: 1 probes were lost; at most 0 may be"),
        (record(3.8), "1 probes were lost while no fault was at work"),
        (
            replace(record(), windows=(KILL, replace(STOP, trouble="n3: not ready"))),
            "fault 2, stop exabgp on n3: n3: not",
        ),
        (replace(record(), trouble="the agent is not ready"), "no fault was made: the agent is not ready"),
        (replace(record(), leaks=("an address",)), "leak: an address"),
        (replace(record(), violated=("n1: 5.",)), "invariant violated: n1: 5."),
        (replace(record(), tracebacks=("n1-agent: …",)), "traceback: n1-agent: …"),
        (replace(record(), operations=0), "no pod came or went meanwhile"),
        (replace(record(), checked=0), "no invariant was checked"),
        (replace(record(), pairs=()), "not every pair of pods sent probes"),
        (replace(record(), windows=()), "no fault was made"),
    ],
)
def test_what_a_run_must_not_have_is_a_sentence(run: Run, sentence: str) -> None:
    found = list(failures(run))
    assert len(found) == 1
    assert found[0].startswith(sentence)
