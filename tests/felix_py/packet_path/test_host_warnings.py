"""The sentences on what of a host is in the way."""

from __future__ import annotations

from felix_py.packet_path.host_warnings import MOST_NAMED, cut_off, in_the_way
from felix_py.packet_path.neighbour_room import NeighbourRoom
from felix_py.snapshot import Endpoint, EndpointKey
from felix_py.status_model import Filtered, FilteredTraffic, HostIssue, HostWarning
from net.packet_filter import FilterHit, FilterOutcome

HIT = FilterHit("iptables-legacy", "filter", "FORWARD")


def filtered(traffic: FilteredTraffic, outcome: FilterOutcome, destination: str = "10.65.2.0") -> Filtered:
    return Filtered("10.65.1.1", destination, traffic, outcome)


def test_both_directions_of_one_chain_are_one_sentence_with_the_chain_and_the_command_that_shows_it() -> None:
    there = filtered(FilteredTraffic.ENDS, FilterOutcome(HIT))
    (warning,) = in_the_way([there, filtered(FilteredTraffic.ENDS, FilterOutcome(HIT), "10.65.1.1")], [], "", "", "")
    assert warning == HostWarning(
        HostIssue.PODS_FILTERED,
        "a packet filter drops packets of pods that this node forwards: iptables-legacy table filter, chain FORWARD,"
        " policy drop; `iptables-legacy -t filter -S FORWARD` shows it",
    )


def test_each_session_that_is_cut_off_is_named_with_the_cure() -> None:
    (warning,) = in_the_way([filtered(FilteredTraffic.BGP, FilterOutcome(HIT), "192.0.2.2")], [], "", "", "")
    sentence = str(warning)
    assert warning.issue is HostIssue.BGP_FILTERED
    assert sentence.startswith("a packet filter drops BGP (port 179) with 192.0.2.2: iptables-legacy table filter")
    assert sentence.endswith(
        "to accept it: iptables-legacy -t filter -I FORWARD -p tcp -m multiport --ports 179 -j ACCEPT"
    )


def test_doubts_are_left_to_why() -> None:
    assert in_the_way([filtered(FilteredTraffic.ENDS, FilterOutcome(doubts=(HIT,)))], [], "", "", "") == ()


def test_another_networks_file_is_named_with_its_folder_and_ours() -> None:
    (warning,) = in_the_way([], [], "05-bridge.conflist", "/etc/cni/net.d", "10-felix.conflist")
    sentence = str(warning)
    assert warning.issue is HostIssue.OTHER_NETWORK_FIRST
    assert sentence.startswith("another configuration comes first in /etc/cni/net.d: 05-bridge.conflist; the container")
    assert "10-felix.conflist" in sentence


def test_forwarding_that_is_off_and_a_plugin_that_is_missing_are_sorts_of_their_own() -> None:
    off, missing = in_the_way([], ["net.ipv4.ip_forward"], "", "", "", "/opt/cni/bin/felix-cni")
    assert (off.issue, "sysctl -w net.ipv4.ip_forward=1" in off.text) == (HostIssue.FORWARDING_OFF, True)
    assert (missing.issue, "/opt/cni/bin/felix-cni" in missing.text) == (HostIssue.PLUGIN_MISSING, True)


def test_a_neighbour_table_that_is_too_small_is_named_with_a_size_that_lasts() -> None:
    room = NeighbourRoom("net.ipv4.neigh.default.gc_thresh3", 1024, 1100)
    (warning,) = in_the_way([], [], "", "", "", crowded=[room])
    assert warning.issue is HostIssue.NEIGHBOUR_TABLE
    assert "keeps 1,024 neighbours at most (net.ipv4.neigh.default.gc_thresh3)" in warning.text
    assert warning.text.endswith("sysctl -w net.ipv4.neigh.default.gc_thresh3=4096")


def pod(name: str, device: str) -> Endpoint:
    return Endpoint(EndpointKey("default", f"n1-k8s-{name}-eth0"), "c1", device, (), name)


def test_pods_whose_device_is_down_and_those_whose_device_is_gone_are_a_sentence_each() -> None:
    assert cut_off([], ["cali1"]) == ()
    down, gone = cut_off([pod("web", "cali1"), pod("db", "cali2")], ["cali1", "cali3"])
    assert {down.issue, gone.issue} == {HostIssue.PODS_CUT_OFF}
    assert down.text == (
        "a pod is cut off while its device is down: cali1 of pod default/web; to bring it up: ip link set cali1 up"
    )
    assert "gone, or has another name: cali2 of pod default/db; `felixctl why default/db` says more" in gone.text


def test_of_many_pods_that_are_cut_off_the_first_are_named() -> None:
    (warning,) = cut_off([pod(f"web-{n}", f"cali{n}") for n in range(MOST_NAMED + 2)], ())
    assert warning.text.count(" of pod ") == MOST_NAMED
    assert f"web-{MOST_NAMED - 1} and 2 more; " in warning.text
