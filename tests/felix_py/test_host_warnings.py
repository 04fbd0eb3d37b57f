"""The sentences on what of a host is in the way."""

from __future__ import annotations

from felix_py.host_warnings import warnings
from felix_py.status_model import Filtered, FilteredTraffic
from net.packet_filter import FilterHit, FilterOutcome

HIT = FilterHit("iptables-legacy", "filter", "FORWARD")


def filtered(traffic: FilteredTraffic, outcome: FilterOutcome, destination: str = "10.65.2.0") -> Filtered:
    return Filtered("10.65.1.1", destination, traffic, outcome)


def test_both_directions_of_one_chain_are_one_sentence_with_the_chain_and_the_command_that_shows_it() -> None:
    there = filtered(FilteredTraffic.ENDS, FilterOutcome(HIT))
    assert warnings([there, filtered(FilteredTraffic.ENDS, FilterOutcome(HIT), "10.65.1.1")], [], "", "", "") == (
        "a packet filter drops packets of pods that this node forwards: iptables-legacy table filter, chain FORWARD,"
        " policy drop; `iptables-legacy -t filter -S FORWARD` shows it",
    )


def test_each_session_that_is_cut_off_is_named_with_the_cure() -> None:
    (sentence,) = warnings([filtered(FilteredTraffic.BGP, FilterOutcome(HIT), "192.0.2.2")], [], "", "", "")
    assert sentence.startswith("a packet filter drops BGP (port 179) with 192.0.2.2: iptables-legacy table filter")
    assert sentence.endswith(
        "to accept it: iptables-legacy -t filter -I FORWARD -p tcp -m multiport --ports 179 -j ACCEPT"
    )


def test_doubts_are_left_to_why() -> None:
    assert warnings([filtered(FilteredTraffic.ENDS, FilterOutcome(doubts=(HIT,)))], [], "", "", "") == ()


def test_another_networks_file_is_named_with_its_folder_and_ours() -> None:
    (sentence,) = warnings([], [], "05-bridge.conflist", "/etc/cni/net.d", "10-felix.conflist")
    assert sentence.startswith("another configuration comes first in /etc/cni/net.d: 05-bridge.conflist; the container")
    assert "10-felix.conflist" in sentence
