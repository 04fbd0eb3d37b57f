"""The rules of source NAT, step by step. What nft reads of such steps is in tests/kernel/test_nftables_steps.py."""

from __future__ import annotations

import pytest

from felix_py.packet_filter.nat_outgoing import NatOptions, outgoing, source_nat_chain, through_tunnel
from kernel.nftables_table import AddressSet
from net.prefix import pack

V4 = AddressSet("nat_outgoing_v4", 4, frozenset()), AddressSet("pools_v4", 4, frozenset())
V6 = AddressSet("nat_outgoing_v6", 16, frozenset()), AddressSet("pools_v6", 16, frozenset())


def rules(options: NatOptions, sets: tuple[AddressSet, AddressSet] = V4) -> list[list[str]]:
    sources, pools = sets
    return [[step.name for step in program.expressions] for program in outgoing(sources, [pools], options)]


def test_without_options_there_is_one_rule_which_takes_an_address_of_the_device() -> None:
    assert rules(NatOptions()) == [["meta", "cmp", "payload", "lookup", "payload", "lookup", "counter", "masq"]]


def test_ports_are_for_tcp_and_udp_and_the_rest_follows() -> None:
    found = rules(NatOptions(ports=(1024, 2047)))
    assert [row.count("immediate") for row in found] == [2, 2, 0]
    assert [row[-1] for row in found] == ["masq", "masq", "masq"]


@pytest.mark.parametrize(("sets", "action"), [(V4, "nat"), (V6, "masq")])
def test_an_address_is_for_its_own_family(sets: tuple[AddressSet, AddressSet], action: str) -> None:
    (found,) = rules(NatOptions(address=pack("192.0.2.9")), sets)
    assert found[-1] == action


def test_a_device_is_one_more_condition() -> None:
    (found,) = rules(NatOptions(device="eth0"))
    assert found.count("meta") == 2


def test_a_chain_has_its_rules_in_order() -> None:
    one, other = through_tunnel("tunl0"), *outgoing(V4[0], [], NatOptions())
    assert source_nat_chain([one, other]).programs == (one, other)
