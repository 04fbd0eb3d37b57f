"""The foreign speakers' configurations, and what they report of their sessions; examples/speakers.yaml runs them."""

from __future__ import annotations

import tomllib

import pytest

from lab import bird, frr, gobgp, speaker
from lab.spec import SPEAKERS, parse

SPEC = parse("""
    subnets: [{name: a, ipv4: 192.0.2.0/24, ipv6: 2001:db8::/64}, {name: b, ipv4: 198.51.100.0/24}]
    nodes: [{name: n1, subnet: a}, {name: n2, subnet: b}]
    peers: [{name: tor, subnet: a, as: 64600, networks: [203.0.113.0/24, "2001:db8:ffff::/48"]}]
""")
PEER = SPEC.peers[0]


def test_a_peer_has_a_session_with_every_node_in_each_family_they_share() -> None:
    seen = [(each.node, str(each.theirs.ip), each.multihop) for each in PEER.sessions(SPEC.nodes)]
    assert seen == [("n1", "192.0.2.1", False), ("n1", "2001:db8::1", False), ("n2", "198.51.100.1", True)]


def test_a_peer_of_the_cluster_s_own_as_needs_no_multihop() -> None:
    spec = parse("""
        subnets: [{name: a, ipv4: 192.0.2.0/24}, {name: b, ipv4: 198.51.100.0/24}]
        nodes: 2
        peers: [{name: inside, subnet: a}]
    """)
    assert [each.multihop for each in spec.peers[0].sessions(spec.nodes)] == [False, False]


def test_bird_waits_for_every_node_and_announces_its_networks() -> None:
    text = bird.configuration(PEER, SPEC.nodes)
    assert text.count("protocol bgp ") == 3
    assert "neighbor 198.51.100.1 as 64512; multihop;" in text
    assert "neighbor 192.0.2.1 as 64512; passive on;" in text
    assert "route 203.0.113.0/24 blackhole;" in text


def test_frr_waits_for_every_node_and_announces_its_networks() -> None:
    lines = frr.configuration(PEER, SPEC.nodes).splitlines()
    assert sum(line.endswith(" passive") for line in lines) == 3
    assert [line.split()[1] for line in lines if line.endswith("ebgp-multihop")] == ["198.51.100.1"]
    ipv4, ipv6 = (lines.index(f" address-family ipv{version} unicast") for version in (4, 6))
    assert lines[ipv4 + 1 : ipv4 + 4] == [
        "  network 203.0.113.0/24",
        "  neighbor 192.0.2.1 activate",
        "  neighbor 198.51.100.1 activate",
    ]
    assert lines[ipv6 + 1 : ipv6 + 3] == ["  network 2001:db8:ffff::/48", "  neighbor 2001:db8::1 activate"]


def test_gobgp_waits_for_every_node_and_announces_its_networks() -> None:
    text = tomllib.loads(gobgp.configuration(PEER, SPEC.nodes))
    assert text["global"]["config"] == {
        "as": 64600,
        "router-id": "192.0.2.2",
        "local-address-list": ["192.0.2.2", "2001:db8::2"],
    }
    assert [each["config"]["neighbor-address"] for each in text["neighbors"]] == [
        "192.0.2.1",
        "2001:db8::1",
        "198.51.100.1",
    ]
    assert all(each["transport"]["config"]["passive-mode"] for each in text["neighbors"])
    assert ["ebgp-multihop" in each for each in text["neighbors"]] == [False, False, True]
    assert gobgp.announcements(PEER) == [
        "gobgp global rib add -a ipv4 203.0.113.0/24 nexthop 192.0.2.2",
        "gobgp global rib add -a ipv6 2001:db8:ffff::/48 nexthop 2001:db8::2",
    ]


def test_only_established_bgp_lines_of_bird_count() -> None:
    lines = """\
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     10:00:00.000
n1_v4      BGP        ---        up     10:00:00.000  Established
n2_v4      BGP        ---        start  10:00:00.000  Passive
n3_v4      BGP        ---        start  10:00:00.000  Idle          BGP Error: Bad peer AS
"""
    assert [line.split()[0] for line in lines.splitlines() if bird.established_line(line)] == ["n1_v4"]


def test_frr_s_sessions_are_counted_over_its_families() -> None:
    up, down = {"state": "Established"}, {"state": "Active"}
    summary = {"ipv4Unicast": {"peers": {"192.0.2.1": up, "192.0.2.2": down}}, "ipv6Unicast": {"peers": {"::1": up}}}
    assert frr.established_in(summary) == 2
    assert frr.established_in({}) == 0


def test_gobgp_s_sessions_are_counted_by_their_state() -> None:
    assert gobgp.established_in([{"state": {"session_state": 6}}, {"state": {"session_state": 3}}, {"state": {}}]) == 1


def test_every_speaker_a_spec_may_name_can_be_run() -> None:
    assert tuple(speaker.PROGRAMS) == SPEAKERS


def test_a_speaker_that_is_not_installed_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = speaker.SpeakerProgram("quagga", ("/nowhere/bgpd",), bird.services, bird.established)
    monkeypatch.setattr(speaker, "PROGRAMS", {"bird": absent})
    assert speaker.missing_packages(SPEC.peers) == ["quagga"]
