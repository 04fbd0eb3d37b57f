"""Leaving a pod and arriving in one."""

from __future__ import annotations

from dataclasses import replace

from explain.pod import arriving, largest_packet, leaving
from explain.step import StepState
from felix_py.status_model import DeviceFacts, NeighbourFacts, NodeTrace, PodFacts
from tests.explain.cluster import RECORDS, A, B, TwoNodes, about, route, with_device

POD_A, POD_B = RECORDS.pods


def seen(trace: NodeTrace, address: str, facts: PodFacts | None) -> NodeTrace:
    return replace(trace, kernel=replace(trace.kernel, pods={address: facts} if facts else {}))


def starting(facts: PodFacts | None) -> TwoNodes:
    cluster = TwoNodes()
    cluster.n1 = seen(cluster.n1, A, facts)
    return cluster


def test_a_pod_sends_packets_of_its_devices_mtu() -> None:
    assert largest_packet(starting(PodFacts(DeviceFacts("eth0", mtu=1440))).leg()) == 1440
    assert largest_packet(starting(None).leg()) == 0
    assert largest_packet(TwoNodes(unseen=("n1",)).leg()) == 0


def test_a_pod_with_a_route_lets_packets_out() -> None:
    (step,) = leaving(TwoNodes().leg(), POD_A)
    assert (step.state, step.text) == (StepState.OK, "0.0.0.0/0 via 169.254.1.1 dev eth0 proto 0, MTU 1500")


def test_a_pod_without_route_or_with_a_device_that_is_down_lets_nothing_out() -> None:
    cases = (
        (PodFacts(DeviceFacts("eth0")), "the pod has no route to 10.65.2.1"),
        (PodFacts(DeviceFacts("eth0"), route("10.65.2.1", kind="blackhole")), "but blackhole 10.65.2.1/32 proto 0"),
        (PodFacts(DeviceFacts("eth0", up=False)), "device eth0 in the pod is down"),
    )
    for facts, text in cases:
        (step,) = leaving(starting(facts).leg(), POD_A)
        assert step.state is StepState.BROKEN
        assert text in step.text


def test_a_pod_that_cannot_be_entered_is_out_of_sight() -> None:
    (step,) = leaving(starting(None).leg(), POD_A)
    assert step.state is StepState.UNSEEN
    assert list(leaving(TwoNodes(unseen=("n1",)).leg(), POD_A)) == [], "its node is named instead"


def test_a_packet_arrives_by_the_pods_device() -> None:
    cluster = TwoNodes()
    outer = DeviceFacts("cali2")
    (step,) = arriving(cluster.leg(), cluster.n2, outer, POD_B, 1500)
    assert (step.state, step.text) == (StepState.OK, "10.65.2.1 arrives by eth0")
    narrow = seen(cluster.n2, B, PodFacts(DeviceFacts("eth0", mtu=1300)))
    assert about(list(arriving(cluster.leg(), narrow, outer, POD_B, 1500)))[0] == ("n2 to default/b", "mtu")
    down = seen(cluster.n2, B, PodFacts(DeviceFacts("eth0", up=False)))
    assert next(arriving(cluster.leg(), down, outer, POD_B, 1500)).state is StepState.BROKEN


GATEWAY, HOST_MAC = "169.254.1.1", "ee:ee:ee:ee:ee:ee"


def asking(entry: NeighbourFacts | None, proxy_arp: bool = True) -> list[str]:
    """Return what is wrong with a pod's next hop, by the text of the step."""
    facts = PodFacts(DeviceFacts("eth0"), route("0.0.0.0/0", "eth0", GATEWAY), entry)
    cluster = starting(facts)
    cluster.n1 = with_device(cluster.n1, "cali1", mac=HOST_MAC, proxy_arp=proxy_arp)
    return [step.text for step in leaving(cluster.leg(), POD_A) if step.state is StepState.BROKEN]


def test_a_pod_with_a_permanent_entry_for_its_next_hop_needs_no_answer() -> None:
    assert asking(NeighbourFacts(GATEWAY, "eth0", HOST_MAC, permanent=True), proxy_arp=False) == []


def test_a_pod_without_one_needs_the_nodes_answer() -> None:
    assert asking(None) == []
    (text,) = asking(None, proxy_arp=False)
    assert text.endswith("cali1 does not answer: net.ipv4.conf.cali1.proxy_arp is off")


def test_a_next_hop_of_another_hardware_address_is_found() -> None:
    (text,) = asking(NeighbourFacts(GATEWAY, "eth0", "02:00:00:00:00:01", permanent=True))
    assert text == "the pod takes 02:00:00:00:00:01 for its next hop 169.254.1.1, and cali1 has ee:ee:ee:ee:ee:ee"


def test_a_next_hop_that_was_asked_for_in_vain_is_found() -> None:
    (text,) = asking(NeighbourFacts(GATEWAY, "eth0", unanswered=True))
    assert "does not answer (its neighbour entry is FAILED)" in text


def test_a_next_hop_that_is_being_asked_for_is_a_doubt() -> None:
    facts = PodFacts(
        DeviceFacts("eth0"), route("0.0.0.0/0", "eth0", GATEWAY), NeighbourFacts(GATEWAY, "eth0", asked=True)
    )
    steps = list(leaving(starting(facts).leg(), POD_A))
    assert [step.state for step in steps] == [StepState.OK, StepState.DOUBTFUL]
