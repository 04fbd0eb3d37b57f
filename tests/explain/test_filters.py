"""Packet filters on the way, and those that cut off a session."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from explain.filters import cut_off_session, filtered_packets
from explain.step import StepState
from felix_py.status_model import Filtered, FilteredTraffic, NodeTrace
from net.packet_filter import FilterHit, FilterOutcome
from tests.explain.cluster import A, B, TwoNodes

NFT = FilterHit("nft", "ip f", "forward")
LEGACY = FilterHit("iptables-legacy", "filter", "FORWARD", "OWN", "saddr 10.65.1.1 drop")


def filters(cluster: TwoNodes, *found: Filtered, **more: Any) -> TwoNodes:
    return replace(cluster, n1=replace(cluster.n1, kernel=replace(cluster.n1.kernel, filtered=found, **more)))


def dropped(hit: FilterHit, traffic: FilteredTraffic = FilteredTraffic.ENDS, partly: bool = False) -> Filtered:
    return Filtered(A, B, traffic, FilterOutcome(hit, partly))


@pytest.mark.parametrize(
    ("hit", "traffic", "inspect", "repair"),
    [
        (
            NFT,
            FilteredTraffic.ENDS,
            "nft list chain ip f forward",
            "nft insert rule ip f forward ip saddr 10.65.0.0/16 ip daddr 10.65.0.0/16 accept",
        ),
        (
            LEGACY,
            FilteredTraffic.ENDS,
            "iptables-legacy -t filter -S OWN",
            "iptables-legacy -t filter -I FORWARD -s 10.65.0.0/16 -d 10.65.0.0/16 -j ACCEPT",
        ),
        (
            NFT,
            FilteredTraffic.TUNNEL,
            "nft list chain ip f forward",
            "nft insert rule ip f forward meta l4proto 4 accept",
        ),
        (
            LEGACY,
            FilteredTraffic.TUNNEL,
            "iptables-legacy -t filter -S OWN",
            "iptables-legacy -t filter -I FORWARD -p 4 -j ACCEPT",
        ),
    ],
)
def test_what_drops_packets_is_named_with_the_commands_that_show_and_repair_it(
    hit: FilterHit, traffic: FilteredTraffic, inspect: str, repair: str
) -> None:
    cluster = filters(TwoNodes(), dropped(hit, traffic))
    (step,) = filtered_packets(cluster.leg(), cluster.n1)
    assert (step.where, step.about, step.state) == ("n1", "filter", StepState.BROKEN)
    assert str(hit) in step.text
    assert step.inspect and step.repair
    assert (step.inspect.line, step.repair.line) == (inspect, repair)


def test_a_filter_decides_the_verdict() -> None:
    cluster = filters(TwoNodes(), dropped(NFT))
    where, about, text = cluster.first()
    assert (where, about) == ("n1", "filter")
    assert (
        text == "a packet filter drops packets from default/a to default/b: nft table ip f, chain forward, policy drop"
    )


def test_an_exception_is_told_and_the_rest_is_still_dropped() -> None:
    cluster = filters(TwoNodes(), dropped(NFT, partly=True))
    (step,) = filtered_packets(cluster.leg(), cluster.n1)
    assert "but for those that a rule before it accepts" in step.text


def test_what_may_be_dropped_is_a_doubt() -> None:
    doubt = Filtered(A, B, FilteredTraffic.ENDS, FilterOutcome(doubts=(replace(NFT, sure=False),) * 9))
    cluster = filters(TwoNodes(), doubt)
    steps = list(filtered_packets(cluster.leg(), cluster.n1))
    assert {step.state for step in steps} == {StepState.DOUBTFUL}
    assert len(steps) == 3
    assert cluster.explained()[1].reachable


def test_filters_that_could_not_be_read_are_out_of_sight_and_not_in_order() -> None:
    cluster = filters(TwoNodes(), unread=("read nftables: operation not permitted (EPERM)",))
    (step,) = filtered_packets(cluster.leg(), cluster.n1)
    assert step.state is StepState.UNSEEN
    _, verdict = cluster.explained()
    assert verdict.sentence == "nothing that can be seen between default/a and default/b is broken; out of sight: n1"


def test_what_is_dropped_of_others_or_of_the_other_direction_is_not_shown() -> None:
    cluster = filters(TwoNodes(), replace(dropped(NFT), source=B, destination=A))
    assert list(filtered_packets(cluster.leg(), cluster.n1)) == []


def test_a_table_of_the_nodes_own_that_is_not_as_it_should_be_is_a_doubt() -> None:
    cluster = TwoNodes()
    (step,) = filtered_packets(cluster.leg(), replace(cluster.n1, table_problem="natOutgoing is not carried out"))
    assert (step.state, step.text) == (StepState.DOUBTFUL, "natOutgoing is not carried out")


def test_what_gives_packets_another_destination_is_named_with_the_command_that_lets_them_pass() -> None:
    hit = FilterHit("iptables-legacy", "nat", "PREROUTING", rule="daddr 10.65.2.1 accept (DNAT)")
    cluster = filters(TwoNodes(), redirected=(dropped(hit),))
    (step,) = filtered_packets(cluster.leg(), cluster.n1)
    assert (step.about, step.state) == ("translation", StepState.BROKEN)
    assert step.text == f"address translation gives packets from default/a to default/b another destination: {hit}"
    assert step.repair and step.repair.line.startswith("iptables-legacy -t nat -I PREROUTING -s 10.65.0.0/16 -d")
    assert list(filtered_packets(cluster.leg("b", "a"), cluster.n1)) == [], "answers are not asked"


def test_what_gives_some_packets_another_destination_is_a_doubt() -> None:
    some = Filtered(A, B, FilteredTraffic.ENDS, FilterOutcome(doubts=(replace(NFT, sure=False),)))
    cluster = filters(TwoNodes(), redirected=(some,))
    (step,) = filtered_packets(cluster.leg(), cluster.n1)
    assert (step.about, step.state) == ("translation", StepState.DOUBTFUL)
    assert "gives some of packets from default/a to default/b another destination: nft table ip f" in step.text


def test_a_full_table_of_connections_breaks_new_ones() -> None:
    cluster = filters(TwoNodes(), connections=4096, most_connections=4096)
    (step,) = filtered_packets(cluster.leg(), cluster.n1)
    assert step.partly and step.repair and step.repair.line == "sysctl -w net.netfilter.nf_conntrack_max=8192"
    room = filters(TwoNodes(), connections=4095, most_connections=4096)
    assert list(filtered_packets(room.leg(), room.n1)) == []


def bgp(hit: FilterHit) -> Filtered:
    return Filtered("192.0.2.1", "192.0.2.2", FilteredTraffic.BGP, FilterOutcome(hit))


def test_a_session_that_is_cut_off_is_broken_though_its_routes_are_there() -> None:
    cluster = filters(TwoNodes(), bgp(FilterHit("nft", "inet f", "input")))
    where, about, text = cluster.first()
    assert (where, about) == ("n1", "session")
    assert text == "a packet filter drops BGP (port 179) with 192.0.2.2: nft table inet f, chain input, policy drop"


def test_the_repair_of_a_session_lets_its_port_pass() -> None:
    cluster = filters(TwoNodes(), replace(bgp(LEGACY), port=1790))
    step = cut_off_session(cluster.leg(), cluster.n1, "192.0.2.2")
    assert step and step.repair and step.repair.line == LEGACY.accept_port(1790)
    assert "BGP (port 1790)" in step.text
    assert cut_off_session(cluster.leg(), cluster.n1, "192.0.2.3") is None


def test_a_trace_of_an_older_agent_has_no_filters() -> None:
    trace: NodeTrace = TwoNodes().n1
    assert list(filtered_packets(TwoNodes().leg(), trace)) == []
