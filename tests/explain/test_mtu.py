"""Packets that do not fit."""

from __future__ import annotations

from explain.mtu import narrowed, too_narrow, too_wide
from explain.step import StepState
from felix_py.status_model import DeviceFacts
from tests.explain.cluster import TwoNodes, plus_device, route, with_route

LEG = TwoNodes().leg()


def test_a_packet_shrinks_to_what_a_device_sends_and_never_grows() -> None:
    assert narrowed(1500, DeviceFacts("eth0", mtu=1400)) == 1400
    assert narrowed(1400, DeviceFacts("eth0", mtu=1500)) == 1400
    assert narrowed(1500, None) == 1500
    assert narrowed(0, DeviceFacts("eth0", mtu=1500)) == 0, "an unknown size stays unknown"


def test_a_device_that_sends_less_is_a_doubt_since_its_node_tells_the_sender() -> None:
    (step,) = too_wide(LEG, TwoNodes().n1, DeviceFacts("eth0", mtu=1400), 1500)
    assert step.state is StepState.DOUBTFUL
    assert list(too_wide(LEG, TwoNodes().n1, DeviceFacts("eth0", mtu=1400), 1400)) == []


def test_an_end_of_a_link_that_takes_less_than_the_other_sends_breaks_large_packets_only() -> None:
    sender, receiver = DeviceFacts("eth0"), DeviceFacts("eth0", mtu=1300)
    (step,) = too_narrow(LEG, ("n1", sender), ("n2", receiver), "n2", 1500)
    assert step.partly
    assert step.text == "MTU too small: eth0 of n2 takes 1300 bytes, and eth0 of n1 sends up to 1500"
    assert step.repair and step.repair.line == "ip link set eth0 mtu 1500"
    assert list(too_narrow(LEG, ("n1", sender), ("n2", receiver), "n2", 1300)) == []


def test_on_the_way_back_the_narrow_end_itself_tells_the_sender() -> None:
    steps, _ = TwoNodes().device_of_n2("eth0", mtu=1300).explained()
    back = [step.about for step in steps if step.direction == "back" and step.state is StepState.DOUBTFUL]
    assert back == ["mtu"]


def test_a_tunnel_needs_room_for_its_header() -> None:
    tunnel = DeviceFacts("tunl0", mtu=1490, kind="ipip", forwarding={"4": True})
    cluster = TwoNodes()
    through = route("10.65.2.0/26", "tunl0", "192.0.2.2", 81)
    cluster.n1 = plus_device(with_route(cluster.n1, "10.65.2.1", through, (cluster.learned,)), tunnel)
    cluster.n2 = plus_device(cluster.n2, tunnel)
    steps, verdict = cluster.explained()
    assert verdict.first and "takes 1500 bytes, and tunl0 of n1 sends up to 1510" in verdict.first.text
    assert any("encapsulated (ipip)" in step.text for step in steps)
    assert any("by tunl0 and forwards" in step.text for step in steps if step.where == "n2")
