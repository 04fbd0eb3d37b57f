"""The hardware addresses that nodes have for one another and for their pods."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from explain.neighbour import strange_next_hop, strange_pod, unanswered_next_hop
from explain.step import Step, StepState
from felix_py.status_model import DeviceFacts, NeighbourFacts, NodeTrace
from tests.explain.cluster import B, TwoNodes, with_device

RIGHT, WRONG = "02:00:00:00:00:02", "02:00:00:00:00:99"


def test_a_next_hop_that_does_not_answer_is_found() -> None:
    entry = NeighbourFacts("192.0.2.2", "eth0", unanswered=True)
    cluster = TwoNodes()
    for found, broken in (
        (entry, True),
        (replace(entry, unanswered=False), False),
        (replace(entry, device="e"), False),
    ):
        trace = replace(cluster.n1, kernel=replace(cluster.n1.kernel, neighbours=(found,)))
        steps = list(unanswered_next_hop(cluster.leg(), trace, "eth0", "192.0.2.2"))
        assert [step.about for step in steps] == ["neighbour"] * broken


def test_a_next_hop_that_is_being_asked_for_is_a_doubt() -> None:
    cluster = TwoNodes()
    asked = NeighbourFacts("192.0.2.2", "eth0", asked=True)
    trace = replace(cluster.n1, kernel=replace(cluster.n1.kernel, neighbours=(asked,)))
    (step,) = unanswered_next_hop(cluster.leg(), trace, "eth0", "192.0.2.2")
    assert step.state is StepState.DOUBTFUL


def knowing(trace: NodeTrace, *entries: NeighbourFacts) -> NodeTrace:
    return replace(trace, kernel=replace(trace.kernel, neighbours=entries))


def of_next_hop(entry: NeighbourFacts, *on_n2: NeighbourFacts) -> list[Step]:
    """Return what is said of an entry that n1 has for n2, where n2 has others."""
    cluster = TwoNodes().device_of_n2("eth0", mac=RIGHT)
    cluster.n1, cluster.n2 = knowing(cluster.n1, entry), knowing(cluster.n2, *on_n2)
    steps, _ = cluster.explained()
    found = list(strange_next_hop(cluster.leg(), cluster.n1, "eth0", "192.0.2.2"))
    assert [step for step in steps if step.about == "neighbour"] == found
    return found


def test_an_entry_for_a_node_that_somebody_wrote_with_another_address_is_broken() -> None:
    (step,) = of_next_hop(NeighbourFacts("192.0.2.2", "eth0", WRONG, permanent=True))
    assert (step.where, step.state) == ("n1", StepState.BROKEN)
    assert step.text.startswith(f"the node takes {WRONG} for next hop 192.0.2.2 on eth0, and eth0 of n2 has {RIGHT}")
    assert step.repair and step.repair.line == "ip neigh del 192.0.2.2 dev eth0"


def test_a_learned_entry_with_another_address_is_a_doubt_but_where_both_sides_have_it() -> None:
    learned = NeighbourFacts("192.0.2.2", "eth0", WRONG)
    (step,) = of_next_hop(learned)
    assert step.state is StepState.DOUBTFUL
    assert of_next_hop(learned, NeighbourFacts("192.0.2.1", "eth0", WRONG)) == [], "a router answers for both"


@pytest.mark.parametrize("mac", ["", RIGHT])
def test_an_entry_with_an_address_of_that_node_or_without_one_is_none(mac: str) -> None:
    assert of_next_hop(NeighbourFacts("192.0.2.2", "eth0", mac, permanent=True)) == []


def test_an_address_of_another_device_of_that_node_is_right() -> None:
    cluster = TwoNodes().device_of_n2("eth0", mac=RIGHT)
    cluster.n2 = with_device(cluster.n2, "cali2", mac=WRONG)
    trace = knowing(cluster.n1, NeighbourFacts("192.0.2.2", "eth0", WRONG, permanent=True))
    assert list(strange_next_hop(cluster.leg(), trace, "eth0", "192.0.2.2")) == []


def test_an_entry_for_a_pod_that_somebody_wrote_with_another_address_is_broken() -> None:
    cluster = TwoNodes()
    written = NeighbourFacts(B, "cali2", WRONG, permanent=True)
    outer, inner = DeviceFacts("cali2"), DeviceFacts("eth0", mac=RIGHT)
    (step,) = strange_pod(cluster.leg(), knowing(cluster.n2, written), outer, inner)
    assert step.text.startswith(f"the node takes {WRONG} for {B} on cali2, and eth0 in the pod has {RIGHT}")
    for right in (replace(written, mac=RIGHT), replace(written, permanent=False)):
        assert list(strange_pod(cluster.leg(), knowing(cluster.n2, right), outer, inner)) == []
