"""Leaving a pod and arriving in one."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from explain.pod import arriving, largest_packet, leaving
from explain.step import StepState
from felix_py.status_model import DeviceFacts, Filtered, FilteredTraffic, NeighbourFacts, NodeTrace, PodFacts
from net.packet_filter import FilterHit, FilterOutcome
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
    assert (step.state, step.text) == (StepState.UNSEEN, "the node's agent could not enter its namespace")
    assert list(leaving(TwoNodes(unseen=("n1",)).leg(), POD_A)) == [], "its node is named instead"


def test_why_a_pod_could_not_be_entered_is_said_at_both_ends() -> None:
    cluster = TwoNodes()
    cluster.n1, cluster.n2 = (
        replace(node, kernel=replace(node.kernel, pods={}, unentered={A: "why a", B: "why b"}))
        for node in (cluster.n1, cluster.n2)
    )
    (start,) = leaving(cluster.leg(), POD_A)
    (goal,) = arriving(cluster.leg(), cluster.n2, DeviceFacts("cali2"), POD_B, 1500)
    assert [step.text.partition("namespace: ")[2] for step in (start, goal)] == ["why a", "why b"]


def test_a_packet_arrives_by_the_pods_device() -> None:
    cluster = TwoNodes()
    outer = DeviceFacts("cali2")
    (step,) = arriving(cluster.leg(), cluster.n2, outer, POD_B, 1500)
    assert (step.state, step.text) == (StepState.OK, "10.65.2.1 arrives by eth0")
    narrow = seen(cluster.n2, B, PodFacts(DeviceFacts("eth0", mtu=1300)))
    assert about(list(arriving(cluster.leg(), narrow, outer, POD_B, 1500)))[0] == ("n2 to default/b", "mtu")
    down = seen(cluster.n2, B, PodFacts(DeviceFacts("eth0", up=False)))
    assert next(arriving(cluster.leg(), down, outer, POD_B, 1500)).state is StepState.BROKEN


DROPS = FilterHit("nft", "ip f", "input")


def filtering(source: str, destination: str, **more: Any) -> PodFacts:
    found = Filtered(source, destination, FilteredTraffic.ENDS, FilterOutcome(DROPS))
    return PodFacts(DeviceFacts("eth0"), route("0.0.0.0/0", "eth0", GATEWAY), filtered=(found,), **more)


def test_what_a_filter_in_the_pod_drops_is_lost_there() -> None:
    cluster = starting(filtering(A, B))
    _, step = leaving(cluster.leg(), POD_A)
    assert (step.where, step.about, step.state) == ("default/a", "filter", StepState.BROKEN)
    assert step.text.endswith("drops packets from default/a to default/b: nft table ip f, chain input, policy drop")
    assert step.inspect and (step.inspect.place, step.inspect.line) == ("a", "nft list chain ip f input")
    assert step.repair and (step.repair.place, step.repair.line[:28]) == ("a", "nft insert rule ip f input i")
    assert cluster.first()[:2] == ("default/a", "filter")


def test_a_filter_in_the_pod_that_a_packet_comes_to_is_found_and_that_of_its_answer_is_not() -> None:
    cluster = TwoNodes()
    cluster.n2 = seen(cluster.n2, B, filtering(A, B))
    assert cluster.first()[:2] == ("default/b", "filter")
    answers = seen(cluster.n2, B, filtering(B, A))
    (step,) = arriving(cluster.leg(), answers, DeviceFacts("cali2"), POD_B, 1500)
    assert step.state is StepState.OK


def test_filters_of_a_pod_that_could_not_be_read_are_out_of_sight() -> None:
    facts = PodFacts(DeviceFacts("eth0"), route("0.0.0.0/0", "eth0", GATEWAY), unread=("read nftables: no (EPERM)",))
    _, step = leaving(starting(facts).leg(), POD_A)
    assert (step.where, step.state) == ("default/a", StepState.UNSEEN)
    assert "read nftables" in step.text


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
