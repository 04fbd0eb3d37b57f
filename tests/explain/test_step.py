"""What the steps mean together."""

from __future__ import annotations

from explain.step import Step, StepState, verdict


def step(where: str, state: StepState, text: str = "broken", partly: bool = False, effect: str = "") -> Step:
    return Step("there", where, "route", state, text, effect, partly=partly)


def test_what_stops_all_packets_counts_before_what_stops_some() -> None:
    steps = [step("n1", StepState.BROKEN, partly=True), step("n2", StepState.BROKEN, effect="nothing passes")]
    found = verdict("a and b", steps)
    assert found.first == steps[1]
    assert found.sentence == "n2: broken; nothing passes"


def test_a_doubt_breaks_nothing_and_is_named() -> None:
    doubtful = [step("n1", StepState.DOUBTFUL), step("n1", StepState.DOUBTFUL), step("n2", StepState.UNSEEN)]
    found = verdict("a and b", doubtful)
    assert found.reachable
    assert found.doubt is doubtful[0]
    sentence = "nothing that can be seen between a and b is broken; in doubt: n1 (route); out of sight: n2"
    assert found.sentence == sentence


def test_what_is_out_of_sight_is_named_once() -> None:
    found = verdict("a and b", [step("n2", StepState.UNSEEN), step("n2", StepState.UNSEEN), step("n1", StepState.OK)])
    assert found.reachable
    assert found.sentence == "nothing that can be seen between a and b is broken; out of sight: n2"
