"""The route a kernel takes, against the one that should be taken."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from explain.route import chosen_route, onward, route_fault, route_origin
from explain.step import StepState
from felix_py.status_model import RouteIssue, RouteNote, RouteStatus
from net.ip_route import IpRoute
from tests.explain.cluster import DEFAULT, B, TwoNodes, hole, route, with_route


def text(cluster: TwoNodes) -> str:
    assert chosen_route(cluster.leg(), cluster.n1) is None
    return route_fault(cluster.leg(), cluster.n1).text


def test_a_route_by_the_goals_node_is_chosen_and_leads_there() -> None:
    cluster = TwoNodes()
    leg = cluster.leg()
    taken = chosen_route(leg, cluster.n1)
    assert taken == cluster.learned.route
    assert onward(leg, cluster.n1, taken).node == "n2"
    assert next(route_origin(leg, cluster.n1, taken)).text.endswith("proto 81 (learned)")


def test_a_route_through_a_router_is_chosen_if_it_is_the_one_the_agent_wants() -> None:
    by_router = route("10.65.2.0/26", "eth0", "192.0.2.254", 81)
    wanted = replace(TwoNodes().learned, route=by_router)
    assert chosen_route((cluster := TwoNodes().n1_sends_b(by_router, (wanted,))).leg(), cluster.n1) == by_router
    assert chosen_route((cluster := TwoNodes().n1_sends_b(DEFAULT, (wanted,))).leg(), cluster.n1) is None


def test_a_route_that_is_not_ours_is_reported() -> None:
    cluster = TwoNodes().n1_sends_b(route("10.65.2.0/24", "eth0", "192.0.2.2", 4), ())
    taken = chosen_route(cluster.leg(), cluster.n1)
    assert taken
    assert "(not one of ours)" in next(route_origin(cluster.leg(), cluster.n1, taken)).text


@pytest.mark.parametrize(
    ("taken", "by"),
    [
        (route("10.65.2.0/26", "eth0", "192.0.2.254", 3), "router 192.0.2.254 is no node"),
        (route("10.65.2.0/28", "eth0", "192.0.2.254", 3), "router 192.0.2.254 is no node"),
        (route("10.65.2.0/26", "eth0", protocol=3), "it takes 10.65.2.1 to be on that link"),
    ],
    ids=["router", "longer prefix", "link"],
)
def test_a_route_of_others_by_what_is_no_node_is_a_doubt_and_is_followed(taken: IpRoute, by: str) -> None:
    cluster = TwoNodes().n1_sends_b(taken, (TwoNodes().learned,))
    assert chosen_route(cluster.leg(), cluster.n1) == taken
    step, *beyond = route_origin(cluster.leg(), cluster.n1, taken)
    assert step.state is StepState.DOUBTFUL
    assert step.text == (
        f"{taken}, another program's (protocol 3), wins over 10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81 (learned),"
        f" and may lead elsewhere: {by}"
    )
    unseen = [(f"router {taken.gateway}", StepState.UNSEEN)] if taken.gateway else []
    assert [(one.where, one.state) for one in beyond] == unseen
    assert step.inspect and step.inspect.line == "ip route show match 10.65.2.1"


def test_a_route_of_others_by_the_goals_node_is_not_taken_for_ours() -> None:
    taken = replace(TwoNodes().learned.route, protocol=4, metric=3)
    cluster = TwoNodes().n1_sends_b(taken, (TwoNodes().learned,))
    (step,) = route_origin(cluster.leg(), cluster.n1, taken)
    assert (step.state, step.text) == (StepState.OK, f"{taken} (not one of ours)")


def test_an_address_of_a_pod_elsewhere_that_this_node_has_leads_nowhere() -> None:
    wanted = replace(TwoNodes().learned, route=route(f"{B}/32", "eth0", "192.0.2.2", 81))
    assert "leads elsewhere" in text(TwoNodes().n1_sends_b(route(f"{B}/32", "lo", kind="local"), (wanted,)))


def test_a_deleted_route_is_missed_where_a_shorter_one_carries_the_packet() -> None:
    found = text(TwoNodes().n1_sends_b(DEFAULT, (TwoNodes().learned,), repair=False))
    assert "learned wants 10.65.2.0/26 via 192.0.2.2" in found
    assert "it was deleted, and repair is off" in found


def test_a_missing_route_comes_with_the_command_that_puts_it_back() -> None:
    cluster = TwoNodes().n1_sends_b(None, (TwoNodes().learned,))
    step = route_fault(cluster.leg(), cluster.n1)
    assert step.repair and step.repair.line == "ip route replace 10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81"


@pytest.mark.parametrize(
    ("note", "best", "words"),
    [
        (
            RouteNote(RouteIssue.REFUSED, detail="no buffer (ENOBUFS)"),
            True,
            "the kernel refused it: no buffer (ENOBUFS)",
        ),
        (
            RouteNote(RouteIssue.NEXT_HOP_UNREACHABLE, next_hops=("192.0.2.2",)),
            False,
            "next hop 192.0.2.2 is not reachable",
        ),
    ],
    ids=["refused", "unreachable"],
)
def test_a_route_that_is_not_in_force_is_named_with_its_note(note: RouteNote, best: bool, words: str) -> None:
    row = replace(TwoNodes().learned, best=best, in_fib=False, note=note)
    assert text(TwoNodes().n1_sends_b(None, (row,))).endswith(words)


def test_a_route_of_others_that_wins_and_leads_elsewhere_is_named() -> None:
    astray = route("10.65.2.0/26", "eth0", "192.0.2.1", 4)
    note = RouteNote(RouteIssue.OVERRIDDEN, protocol=4, metric=7)
    wanted = replace(TwoNodes().learned, note=note, route=route("10.65.2.0/26", "eth0", "192.0.2.2", 81))
    found = text(TwoNodes().n1_sends_b(replace(astray, kind="prohibit"), (wanted,)))
    assert found.startswith("prohibit 10.65.2.0/26")
    assert found.endswith("a route of protocol 4 with metric 7 wins over it")


def arriving(taken: IpRoute | None, wanted: tuple[RouteStatus, ...], goal: str = "b") -> tuple[str, str]:
    cluster = TwoNodes()
    cluster.n2 = with_route(cluster.n2, cluster.leg(goal=goal).goal.address, taken, wanted)
    leg = cluster.leg(goal=goal)
    assert chosen_route(leg, cluster.n2) is None
    step = route_fault(leg, cluster.n2)
    return step.about, step.text


def test_a_blackhole_is_hit_by_a_packet_for_an_address_that_no_pod_has() -> None:
    blackhole = hole(2)
    assert arriving(blackhole.route, (blackhole,), "10.65.2.9") == (
        "blackhole",
        "the packet hits blackhole 10.65.2.0/26: no pod of n2 has 10.65.2.9",
    )


def test_a_pod_that_the_agent_does_not_know_has_no_route() -> None:
    blackhole = hole(2)
    assert arriving(blackhole.route, (blackhole,)) == (
        "route",
        f"the agent wants no route to {B}: it does not know default/b",
    )


def test_a_route_to_a_pod_by_another_device_is_wrong() -> None:
    about, found = arriving(route(f"{B}/32", "cali7", protocol=80), TwoNodes().n2.wanted[B])
    assert about == "route"
    assert "leads elsewhere and wins over 10.65.2.1/32 dev cali2" in found
