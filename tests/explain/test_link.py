"""From one node to the next."""

from __future__ import annotations

from msgspec.structs import replace

from explain.link import Onward, arrival_device, link
from explain.step import StepState
from felix_py.status_model import DeviceFacts
from tests.explain.cluster import TwoNodes, about, plus_device, with_device

ETH0 = DeviceFacts("eth0", kind="veth")
TO_N2 = Onward(ETH0, "192.0.2.2", "n2")


def test_a_link_that_works_names_device_and_mtu() -> None:
    cluster = TwoNodes()
    (step,) = link(cluster.leg(), cluster.n1, TO_N2, 1500)
    assert (step.state, step.text) == (StepState.OK, "eth0 to n2, MTU 1500, no encapsulation")


def test_a_packet_that_is_to_take_a_tunnel_and_takes_none_is_a_doubt() -> None:
    """As where the kernel has no IPIP."""
    cluster = TwoNodes()
    (pool,) = cluster.records.pools
    cluster.records = replace(cluster.records, pools=(replace(pool, tunnelled=True),))
    (step,) = link(cluster.leg(), cluster.n1, TO_N2, 1500)
    assert step.state is StepState.DOUBTFUL
    assert "no encapsulation, though pool pods has ipipMode Always" in step.text
    tunnel = replace(TO_N2, device=DeviceFacts("tunl0", mtu=1480, kind="ipip"))
    assert [one.state for one in link(cluster.leg(), cluster.n1, tunnel, 1480)] == [StepState.OK]


def test_a_router_between_the_nodes_is_named() -> None:
    cluster = TwoNodes()
    (step,) = link(cluster.leg(), cluster.n1, replace(TO_N2, gateway="192.0.2.254"), 1500)
    assert "through router 192.0.2.254, which is no node of ours" in step.text


def test_a_packet_that_leaves_the_cluster_is_out_of_sight() -> None:
    cluster = TwoNodes()
    (step,) = link(cluster.leg(), cluster.n1, Onward(ETH0, "192.0.2.254", ""), 1500)
    assert (step.where, step.state) == ("beyond 192.0.2.254", StepState.UNSEEN)


def test_a_device_that_was_not_seen_is_reported() -> None:
    cluster = TwoNodes()
    (step,) = link(cluster.leg(), cluster.n1, replace(TO_N2, device=None), 1500)
    assert step.state is StepState.UNSEEN


def test_a_tunnel_to_a_port_that_is_down_is_broken_there() -> None:
    cluster = TwoNodes()
    cluster.n2 = with_device(cluster.n2, "eth0", carrier=False)
    through = Onward(DeviceFacts("tunl0", mtu=1480, kind="ipip"), "192.0.2.2", "n2")
    assert ("n2", "link") in about(list(link(cluster.leg(), cluster.n1, through, 1480)))


def test_a_packet_arrives_by_the_device_with_the_gateways_address_or_by_the_tunnels() -> None:
    cluster = TwoNodes()
    cluster.n2 = plus_device(cluster.n2, DeviceFacts("tunl0", kind="ipip"))
    leg = cluster.leg()
    assert arrival_device(leg, TO_N2) == "eth0"
    assert arrival_device(leg, replace(TO_N2, gateway="192.0.2.254")) == "eth0", "the one with the node's address"
    assert arrival_device(leg, replace(TO_N2, device=DeviceFacts("tunl0", kind="ipip"))) == "tunl0"
    assert arrival_device(leg, replace(TO_N2, node="n3")) == ""


def test_where_a_packet_leaves_the_cluster_refused_routes_are_named_as_a_doubt() -> None:
    cluster = TwoNodes()
    refusing = replace(cluster.n1.peers[0], refused={"inside a pool": 2})
    trace = replace(cluster.n1, peers=(refusing,))
    _, step = link(cluster.leg(), trace, Onward(ETH0, "192.0.2.254", ""), 1500)
    assert step.state is StepState.DOUBTFUL
    assert step.text.startswith("n1 has refused 2 routes of 192.0.2.2 (inside a pool); one of them may lead to")
