"""Leaving a pod and arriving in one."""

from __future__ import annotations

from dataclasses import replace

from explain.pod import arriving, largest_packet, leaving
from explain.step import StepState
from felix_py.status_model import DeviceFacts, NodeTrace, PodFacts
from tests.explain.cluster import RECORDS, A, B, TwoNodes, about, route

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
