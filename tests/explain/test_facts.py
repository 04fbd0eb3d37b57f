"""One direction through the facts."""

from __future__ import annotations

from msgspec.structs import replace

from explain.facts import Leg
from explain.step import StepState
from tests.explain.cluster import RECORDS, TwoNodes


def test_a_leg_arrives_at_the_node_of_its_goal() -> None:
    leg = TwoNodes().leg()
    assert [leg.arrives_at(trace) for trace in leg.facts.traces.values()] == [False, True]


def test_commands_are_of_the_family_asked_about() -> None:
    pods = tuple(replace(pod, addresses=(f"fd00::{n}",)) for n, pod in enumerate(RECORDS.pods, 1))
    assert TwoNodes().leg().ip == "ip"
    assert TwoNodes(records=replace(RECORDS, pods=pods)).leg().ip == "ip -6"


def test_a_step_bears_its_direction() -> None:
    leg = Leg(TwoNodes().facts, "back", TwoNodes().leg().goal, TwoNodes().leg().start)
    assert leg.step("n1", "route", StepState.OK, "fine").direction == "back"
