"""A packet followed from pod to node to node to pod."""

from __future__ import annotations

from msgspec.structs import replace

from explain.step import StepState
from explain.walk import walk
from felix_py.status_model import RouteIssue, RouteNote
from tests.explain.cluster import DEFAULT, B, TwoNodes, about, hole, route, with_route


def test_a_link_without_carrier_is_where_it_breaks() -> None:
    where, kind, _ = TwoNodes().device_of_n2("eth0", carrier=False).first()
    assert (where, kind) == ("n2", "link")


def test_a_device_that_is_down_counts_before_the_blackhole_behind_it() -> None:
    cluster = TwoNodes().device_of_n2("cali2", up=False, carrier=False)
    row = replace(cluster.n2.wanted[B][0], best=False, note=RouteNote(RouteIssue.DEVICE_DOWN))
    cluster.n2 = with_route(cluster.n2, B, hole(2).route, (row, hole(2)))
    assert cluster.first() == ("n2", "device", "device cali2 is down")


def test_what_stops_all_packets_counts_before_what_stops_some() -> None:
    cluster = TwoNodes().device_of_n2("eth0", mtu=1300).device_of_n2("cali2", forwarding={"4": False})
    assert cluster.first()[:2] == ("n2", "forwarding")


def test_a_routing_loop_ends() -> None:
    cluster = TwoNodes()
    back = route("10.65.2.0/26", "eth0", "192.0.2.1", 81)
    cluster.records = replace(cluster.records, pods=cluster.records.pods[:1])  # n2 is only passed through
    cluster.n2 = with_route(cluster.n2, "198.51.100.1", back, ())
    cluster.n1 = with_route(cluster.n1, "198.51.100.1", route("198.51.100.0/24", "eth0", "192.0.2.2", 4), ())
    *_, last = walk(cluster.leg(goal="198.51.100.1"))
    assert (last.where, last.text) == ("n1", "the packet was here before")
    assert last.effect == "routing loop: the packet is dropped when its TTL expires"


def test_nodes_out_of_sight_are_passed_over() -> None:
    cluster = TwoNodes(unseen=("n1",))
    steps = list(walk(cluster.leg()))
    assert about(steps)[0] == ("n1", "node")
    assert steps[0].text == "its agent does not answer"
    assert about(steps)[-1] == ("default/b", "pod")
    _, verdict = TwoNodes(unseen=("n2",)).explained()
    assert verdict.reachable
    assert verdict.sentence.endswith("is broken; out of sight: n2")


def test_an_address_outside_is_followed_to_where_it_leaves() -> None:
    cluster = TwoNodes()
    cluster.n1 = with_route(cluster.n1, "198.51.100.1", DEFAULT, ())
    steps, verdict = cluster.explained(other="198.51.100.1")
    assert verdict.reachable
    assert ("beyond 192.0.2.254", "outside") in about(steps)
    back = [step for step in steps if step.direction == "back"]
    assert back[0].state is StepState.UNSEEN, "how it answers cannot be seen"
    assert ("n1", "forwarding") in about(back), "what the goal's node does with the answers can"


def test_a_packet_for_a_node_itself_needs_no_forwarding() -> None:
    cluster = TwoNodes().device_of_n2("eth0", forwarding={"4": False})
    cluster.n1 = with_route(cluster.n1, "192.0.2.2", route("192.0.2.0/24", "eth0", protocol=2), ())
    cluster.n2 = with_route(cluster.n2, "192.0.2.2", route("192.0.2.2", "lo", kind="local"), ())
    assert all(step.state is StepState.OK for step in walk(cluster.leg(goal="n2")))


def test_the_device_that_receives_is_looked_at_where_the_node_before_is_out_of_sight() -> None:
    cluster = TwoNodes(unseen=("n1",)).device_of_n2("eth0", carrier=False)
    assert ("n2", "link") in about([step for step in walk(cluster.leg()) if step.state is StepState.BROKEN])
    shut = TwoNodes(unseen=("n1",)).device_of_n2("eth0", forwarding={"4": False})
    assert shut.first()[:2] == ("n2", "forwarding")
