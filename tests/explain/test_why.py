"""The whole answer: both ends, both directions, and the verdict."""

from __future__ import annotations

from explain.step import StepState, Verdict
from explain.why import explain
from tests.explain.cluster import TwoNodes, about


def test_nothing_is_broken_in_a_whole_cluster_and_both_directions_are_walked() -> None:
    steps, verdict = TwoNodes().explained()
    assert {step.state for step in steps} == {StepState.OK}
    assert verdict == Verdict(True, "nothing between default/a and default/b is broken, in either direction")
    there = [step for step in steps if step.direction == "there"]
    assert about(there) == [
        ("default/a", "route"),
        ("n1", "forwarding"),
        ("n1", "route"),
        ("n1", "session"),
        ("n1", "link"),
        ("n2", "forwarding"),
        ("n2", "route"),
        ("default/b", "pod"),
    ]
    assert sum(step.direction == "back" for step in steps) == len(there)


def test_an_address_that_no_pod_has_sends_nothing_back() -> None:
    steps, _ = TwoNodes().explained(other="10.65.2.9")
    assert {step.direction for step in steps} == {"records", "there"}


def test_a_pod_that_is_not_attached_is_not_walked_to() -> None:
    steps, verdict = TwoNodes().explained(other="new")
    assert {step.direction for step in steps} == {"records"}
    assert not verdict.reachable


def test_the_same_facts_give_the_same_answer() -> None:
    cluster, ends = TwoNodes(), (TwoNodes().leg().start, TwoNodes().leg().goal)
    assert explain(cluster.facts, *ends) == explain(cluster.facts, *ends)
