"""Reverse-path checks and routing rules."""

from __future__ import annotations

from msgspec.structs import replace

from explain.facts import Leg
from explain.passage import led_elsewhere, reverse_path
from explain.step import StepState
from felix_py.status_model import NodeTrace, Passage
from tests.explain.cluster import DEFAULT, A, B, TwoNodes, node_trace, route, with_device, with_route

N2 = with_device(node_trace(2, 1), "eth0", reverse_path=1)


def leg(trace: NodeTrace) -> Leg:
    return replace(TwoNodes(), n2=trace).leg()


def test_a_strict_check_drops_what_comes_in_by_another_device_than_the_way_back() -> None:
    odd = with_route(N2, A, route("10.65.1.0/26", "eth1", "198.51.100.1"), N2.wanted[A])
    device = odd.kernel.device("eth0")
    assert device
    (step,) = reverse_path(leg(odd), odd, device)
    assert step.state is StepState.BROKEN
    assert "the way back to 10.65.1.1 leads by eth1: the reverse-path check (rp_filter is 1, strict)" in step.text
    assert step.repair and step.repair.line == "sysctl -w net.ipv4.conf.eth0.rp_filter=2"
    for loose in (0, 2):
        assert not list(reverse_path(leg(odd), odd, replace(device, reverse_path=loose)))


def test_a_strict_check_lets_the_usual_way_pass() -> None:
    device = N2.kernel.device("eth0")
    assert device and list(reverse_path(leg(N2), N2, device)) == []


def test_several_next_hops_are_as_good_as_one_that_fits() -> None:
    first, second = route("10.65.1.0/26", "eth1", "198.51.100.1"), route("10.65.1.0/26", "eth0", "192.0.2.1")
    several = with_route(N2, A, replace(first, hops=(*first.hops, *second.hops)), N2.wanted[A])
    device = several.kernel.device("eth0")
    assert device and list(reverse_path(leg(several), several, device)) == []


def passing(found: Passage) -> TwoNodes:
    cluster = TwoNodes()
    return replace(cluster, n1=replace(cluster.n1, kernel=replace(cluster.n1.kernel, passages=(found,))))


def test_a_rule_that_leads_elsewhere_is_named_with_its_table() -> None:
    cluster = passing(Passage(A, B, "cali1", DEFAULT, 77, "100: from 10.65.1.1/32 lookup 77"))
    where, about, text = cluster.first()
    assert (where, about) == ("n1", "rule")
    assert text.startswith("the routing rule '100: from 10.65.1.1/32 lookup 77' sends packets from default/a elsewhere")
    assert text.endswith("of table 77")


def test_a_rule_that_leads_to_the_goal_as_well_is_no_reason() -> None:
    cluster = passing(Passage(A, B, "cali1", route("10.65.2.0/26", "eth0", "192.0.2.2"), 77, "100: from all"))
    assert cluster.explained()[1].reachable


def test_what_the_kernel_drops_is_broken_where_it_is_certain_by_which_device_it_comes() -> None:
    refused = Passage(A, B, "cali1", refused="look up 10.65.2.1 from 10.65.1.1: permission denied (EACCES)")
    assert passing(refused).first()[:2] == ("n1", "rule")
    back = replace(refused, source=B, destination=A, device="eth0")
    cluster = passing(back)
    (step,) = led_elsewhere(cluster.leg("b", "a"), cluster.n1, "eth0")
    assert step.state is StepState.DOUBTFUL
    assert list(led_elsewhere(cluster.leg("b", "a"), cluster.n1, "eth1")) == [], "it came in elsewhere"
