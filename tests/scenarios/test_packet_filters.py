"""Rules as other programs leave them on a host, set up by their own tools: what becomes of pods' packets.

pod 10.65.1.1 (cali1) ── node ── eth0 ── pod 10.65.2.1 of another node
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from felix_py.packet_path.filter_facts import CalledSession, filtered_sessions
from felix_py.packet_path.kernel_facts import packet_filters
from kernel.netns import inside
from net.packet_filter import FORWARDED, FilterOutcome, Packet, PacketFilters
from net.prefix import pack
from tests.kernel.netns import Namespace, namespace

A, B = pack("10.65.1.1"), pack("10.65.2.1")
THERE, BACK = Packet(A, B, "cali1", "eth0"), Packet(B, A, "eth0", "cali1", is_answer=True)

DOCKER = """
*filter
:FORWARD DROP
:DOCKER -
:DOCKER-USER -
:DOCKER-FORWARD -
:DOCKER-ISOLATION -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-ISOLATION
-A DOCKER-FORWARD -o docker0 -j DOCKER
-A DOCKER-FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-ISOLATION -i docker0 ! -o docker0 -j DROP
-A DOCKER-ISOLATION -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"""
KUBE_PROXY = """
*filter
:FORWARD ACCEPT
:INPUT ACCEPT
:KUBE-FORWARD -
:KUBE-FIREWALL -
:KUBE-SERVICES -
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-A INPUT -j KUBE-FIREWALL
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j REJECT
COMMIT
"""
UFW = """
*filter
:FORWARD DROP
:ufw-before-forward -
:ufw-after-logging-forward -
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-after-logging-forward
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-after-logging-forward -m limit --limit 3/min -j LOG
COMMIT
"""
FIREWALLD = """
table inet firewalld {
  chain filter_INPUT {
    type filter hook input priority 10; policy accept
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    goto filter_IN_public
  }
  chain filter_FORWARD {
    type filter hook forward priority 10; policy accept
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_FORWARD_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD_ZONES {
    iifname vmap { "eth9" : goto filter_FWD_public }
    goto filter_FWD_public
  }
  chain filter_FWD_public {
    reject with icmpx admin-prohibited
  }
  chain filter_IN_public {
    tcp dport 22 ct state { new, untracked } accept
    meta l4proto { icmp, ipv6-icmp } accept
    reject with icmpx admin-prohibited
  }
}
"""


@pytest.fixture
def host() -> Iterator[Namespace]:
    with namespace("filters") as made:
        yield made


def read(host: Namespace, text: str, *tool: str) -> PacketFilters:
    subprocess.run(["ip", "netns", "exec", host.name, *tool], input=text, text=True, check=True)
    with inside(host.descriptor):
        return packet_filters({})


@pytest.mark.parametrize("tool", ["iptables-legacy-restore", "iptables-nft-restore"])
@pytest.mark.parametrize(
    ("rules", "there", "back"),
    [(DOCKER, "policy drop", "policy drop"), (KUBE_PROXY, "", ""), (UFW, "policy drop", "")],
    ids=["container engine", "kube-proxy", "ufw"],
)
def test_pods_packets_in_the_rules_of_iptables(host: Namespace, tool: str, rules: str, there: str, back: str) -> None:
    filters = read(host, rules, tool)
    assert [dropped(filters, packet) for packet in (THERE, BACK)] == [there, back]
    assert filters.outcome(FORWARDED, THERE).partly == (rules is UFW), "it lets pings pass"
    assert list(filtered_sessions(filters, [CalledSession(A, B, passive=True)])) == []


def test_pods_packets_in_the_rules_of_firewalld(host: Namespace) -> None:
    filters = read(host, FIREWALLD, "nft", "-f", "-")
    assert dropped(filters, THERE) == "rule: reject"
    assert filters.outcome(FORWARDED, BACK) == FilterOutcome()
    (cut_off,) = filtered_sessions(filters, [CalledSession(A, B, passive=True), CalledSession(A, B, passive=False)])
    assert cut_off.outcome.dropped and cut_off.outcome.dropped.within == "filter_IN_public", "the peer cannot call"


def dropped(filters: PacketFilters, packet: Packet) -> str:
    return str(filters.outcome(FORWARDED, packet).dropped or "").rpartition(", ")[2]
