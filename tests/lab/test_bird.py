"""A foreign speaker's configuration, and what it says of its sessions."""

from __future__ import annotations

from lab.bird import configuration, established_line
from lab.spec import parse


def test_a_speaker_peers_with_every_node_in_each_family_they_share() -> None:
    spec = parse("""
        subnets: [{name: a, ipv4: 192.0.2.0/24, ipv6: 2001:db8::/64}, {name: b, ipv4: 198.51.100.0/24}]
        nodes: [{name: n1, subnet: a}, {name: n2, subnet: b}]
        peers: [{name: tor, subnet: a, as: 64600, networks: [203.0.113.0/24]}]
    """)
    text = configuration(spec.peers[0], spec.nodes)
    assert text.count("protocol bgp ") == 3
    assert "neighbor 198.51.100.1 as 64512; multihop;" in text
    assert "neighbor 192.0.2.1 as 64512; passive on;" in text
    assert "route 203.0.113.0/24 blackhole;" in text


def test_only_established_bgp_lines_count() -> None:
    lines = """\
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     10:00:00.000
n1_v4      BGP        ---        up     10:00:00.000  Established
n2_v4      BGP        ---        start  10:00:00.000  Passive
n3_v4      BGP        ---        start  10:00:00.000  Idle          BGP Error: Bad peer AS
"""
    assert [line.split()[0] for line in lines.splitlines() if established_line(line)] == ["n1_v4"]
