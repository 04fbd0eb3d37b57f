"""Rules of iptables-legacy as values; iptables-legacy itself has written them."""

from __future__ import annotations

import pytest

from kernel.iptables import read_iptables
from kernel.iptables_codec import PRIORITIES
from kernel.netns import inside
from net.packet_filter import Chain
from tests.kernel.netns import namespace


def chains(*lines: str, tool: str = "iptables-legacy") -> dict[str, Chain]:
    with namespace("codec") as here:
        for line in lines:
            here.run(tool, *line.split())
        with inside(here.descriptor):
            return {chain.name: chain for chain in read_iptables()}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("-s 10.65.0.0/16 ! -d 10.66.1.1 -j DROP", "saddr 10.65.0.0/16 daddr != 10.66.1.1 drop"),
        ("-i cali+ ! -o eth0 -j ACCEPT", 'iifname "cali*" oifname != "eth0" accept'),
        ("-p tcp --dport 179 -j REJECT", "l4proto tcp dport 179 reject"),
        (
            "-m comment --comment x -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "ct state established,related accept",
        ),
        ("-m addrtype --dst-type LOCAL -j DROP", "(-m addrtype: not read) drop"),
        ("-p udp -j LOG", "l4proto udp continue"),
        ("-s 10.0.0.1", "saddr 10.0.0.1 continue"),
        ("-j RETURN", "return"),
    ],
)
def test_a_rule_is_read_as_iptables_wrote_it(line: str, rule: str) -> None:
    assert [str(one) for one in chains(f"-A FORWARD {line}")["FORWARD"].rules] == [rule]


def test_ipv6_rules_have_their_own_layout() -> None:
    found = chains("-A FORWARD -s fd00:65::/64 -o eth0 -p tcp --dport 80 -j REJECT", tool="ip6tables-legacy")["FORWARD"]
    assert [str(one) for one in found.rules] == ['saddr fd00:65::/64 oifname "eth0" l4proto tcp dport 80 reject']
    assert (found.tool, found.versions) == ("ip6tables-legacy", (6,))


def test_jumps_and_gotos_name_their_chain_and_the_policy_is_no_rule() -> None:
    found = chains(
        "-N FIRST", "-N SECOND", "-A FORWARD -j SECOND", "-A FORWARD -g FIRST", "-A SECOND -j DROP", "-P FORWARD DROP"
    )
    assert [str(one) for one in found["FORWARD"].rules] == ["jump SECOND", "goto FIRST"]
    assert [str(one) for one in found["SECOND"].rules] == ["drop", "return"]
    assert [found[name].drops for name in ("INPUT", "FORWARD", "SECOND")] == [False, True, False]
    assert "ERROR" not in found, "the table's end is no chain"


def test_the_tables_stand_in_the_kernels_order() -> None:
    assert sorted(PRIORITIES, key=lambda table: PRIORITIES[table]) == ["raw", "mangle", "filter", "security"]
