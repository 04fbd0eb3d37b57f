"""Routing rules, set up by `ip rule`."""

from __future__ import annotations

from contextlib import closing

from kernel.links import Devices
from kernel.netns import inside
from kernel.rule import PolicyRule, deciding
from net.prefix import Prefix, pack
from tests.kernel.netns import namespace

A, B = pack("10.65.1.1"), pack("10.65.2.1")


def rules(*lines: str, size: int = 4) -> list[PolicyRule]:
    with namespace("rule") as here:
        for line in lines:
            here.ip(f"{'-6 ' if size == 16 else ''}rule add {line}")
        with inside(here.descriptor), closing(Devices()) as devices:
            return devices.rules(size)


def test_a_new_namespace_has_the_three_that_every_system_has() -> None:
    assert [str(rule) for rule in rules()] == [
        "0: from all lookup local",
        "32766: from all lookup main",
        "32767: from all lookup default",
    ]


def test_rules_are_written_as_ip_lists_them() -> None:
    lines = (
        "pref 10 from 10.65.0.0/16 to 10.66.0.0/16 iif eth0 lookup 77",
        "pref 11 not from 10.65.1.1 lookup 1000",
        "pref 12 fwmark 1 lookup 78",
        "pref 13 from 10.65.1.1 prohibit",
    )
    assert [str(rule) for rule in rules(*lines)][1:5] == [
        "10: from 10.65.0.0/16 to 10.66.0.0/16 iif eth0 lookup 77",
        "11: not from 10.65.1.1/32 lookup 1000",
        "12: from all fwmark lookup 78",
        "13: from 10.65.1.1/32 prohibit",
    ]
    assert str(rules("pref 9 from fd00::/8 lookup 7", size=16)[1]) == "9: from fd00::/8 lookup 7"


def rule(priority: int, source: str = "", device: str = "", table: int = 0, action: str = "") -> PolicyRule:
    return PolicyRule(priority, Prefix.parse(source) if source else None, None, device, (), table, action)


def test_the_deciding_rule_is_the_first_that_selects_the_packet_and_leads_to_the_table() -> None:
    found = [rule(9, "10.65.0.0/16", table=77), rule(8, "10.66.0.0/16", table=77), rule(7, device="eth9", table=77)]
    assert deciding(found, A, B, "cali1", 77) == found[0]
    assert deciding(found, A, B, "cali1", 78) is None
    assert deciding([rule(32766, table=254)], A, B, "cali1", 254) is None, "every system has it"


def test_without_a_table_it_is_the_rule_that_ends_the_packets_way() -> None:
    ends = rule(5, "10.65.1.1/32", action="prohibit")
    assert deciding([rule(4, table=77), ends], A, B, "cali1", 0) == ends
