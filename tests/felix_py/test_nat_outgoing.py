"""Which packets leave under their node's address, from pools, nodes and options."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from felix_py.nat_outgoing import NatOptions, nat_options, ranges, wanted_table
from felix_py.settings import settings_from
from felix_py.snapshot import Pool
from kernel.nftables_table import OwnTable
from net.prefix import Prefix, pack, unpack

NATTED, PLAIN = {"cidr": "10.65.0.0/16", "natOutgoing": True}, {"cidr": "10.66.0.0/16"}
NATTED6 = {"cidr": "fd00:65::/64", "natOutgoing": True}
NODES = (
    Node.make("n1", annotations={"projectcalico.org/IPv4Address": "192.0.2.1/24"}),
    Node.make(
        "n2",
        annotations={
            "projectcalico.org/IPv4Address": "192.0.2.2/24",
            "projectcalico.org/IPv6Address": "2001:db8::2/64",
        },
    ),
    Node.make("new"),
)


def table(*pools: dict[str, Any], options: NatOptions = NatOptions(), tunnels: tuple[str, ...] = ()) -> OwnTable | None:  # noqa: B008 - frozen
    made = [IPPool.make(f"p{number}", **spec) for number, spec in enumerate(pools)]
    return wanted_table([Pool(Prefix.parse(one.spec.cidr), one) for one in made], NODES, options, tunnels)


def sets(found: OwnTable | None) -> dict[str, list[str]]:
    assert found is not None
    return {one.name: sorted(f"{unpack(a)}-{unpack(b)}" for a, b in one.elements) for one in found.sets}


def programs(found: OwnTable | None) -> list[list[str]]:
    assert found is not None
    (chain,) = found.chains
    return [[step.name for step in program.expressions] for program in chain.programs]


def test_where_no_pool_asks_for_it_there_is_no_table() -> None:
    assert table() is None
    assert table(PLAIN) is None


def test_packets_of_a_pool_that_asks_go_to_what_is_in_no_pool_at_all() -> None:
    assert sets(table(NATTED, PLAIN)) == {
        "nat_outgoing_v4": ["10.65.0.0-10.65.255.255"],
        "pools_v4": ["10.65.0.0-10.65.255.255", "10.66.0.0-10.66.255.255"],
    }


def test_each_family_has_its_own_sets() -> None:
    assert sets(table(NATTED, NATTED6)) == {
        "nat_outgoing_v4": ["10.65.0.0-10.65.255.255"],
        "pools_v4": ["10.65.0.0-10.65.255.255"],
        "nat_outgoing_v6": ["fd00:65::-fd00:65::ffff:ffff:ffff:ffff"],
        "pools_v6": ["fd00:65::-fd00:65::ffff:ffff:ffff:ffff"],
    }
    assert sets(table(PLAIN, NATTED6)).keys() == {"nat_outgoing_v6", "pools_v6"}


def test_a_disabled_pool_counts_and_one_for_services_does_not() -> None:
    found = sets(
        table({**NATTED, "disabled": True}, {**PLAIN, "allowedUses": ["LoadBalancer"]}, {"cidr": "10.67.0.0/16"})
    )
    assert found["nat_outgoing_v4"] == ["10.65.0.0-10.65.255.255"]
    assert found["pools_v4"] == ["10.65.0.0-10.65.255.255", "10.67.0.0-10.67.255.255"]


def test_addresses_of_nodes_are_spared_where_that_is_asked_for() -> None:
    found = sets(table(NATTED, NATTED6, options=NatOptions(spares_hosts=True)))
    assert found["nodes_v4"] == ["192.0.2.1-192.0.2.1", "192.0.2.2-192.0.2.2"]
    assert found["nodes_v6"] == ["2001:db8::2-2001:db8::2"]
    assert [row.count("lookup") for row in programs(table(NATTED, options=NatOptions(spares_hosts=True)))] == [3]


def test_ports_are_for_tcp_and_udp_and_the_rest_follows() -> None:
    found = programs(table(NATTED, options=NatOptions(ports=(1024, 2047))))
    assert [row.count("immediate") for row in found] == [2, 2, 0]
    assert [row[-1] for row in found] == ["masq", "masq", "masq"]


def test_an_address_is_for_its_own_family() -> None:
    found = programs(table(NATTED, NATTED6, options=NatOptions(address=pack("192.0.2.9"))))
    assert [row[-1] for row in found] == ["nat", "masq"]


def test_what_the_host_sends_into_a_tunnel_gets_the_tunnels_address() -> None:
    found = table(PLAIN, tunnels=("tunl0",))
    assert sets(found) == {}
    assert programs(found) == [["meta", "cmp", "meta", "cmp", "fib", "cmp", "fib", "cmp", "counter", "masq"]]


@pytest.mark.parametrize(
    ("networks", "found"),
    [
        ([], []),
        (["10.0.0.0/16", "10.0.1.0/24"], ["10.0.0.0-10.0.255.255"]),
        (["10.0.0.0/24", "10.0.1.0/24"], ["10.0.0.0-10.0.0.255", "10.0.1.0-10.0.1.255"]),
        (["10.0.0.0/16", "10.0.0.0/24", "10.0.0.0/16"], ["10.0.0.0-10.0.255.255"]),
        (["0.0.0.0/0", "255.255.255.255/32"], ["0.0.0.0-255.255.255.255"]),
    ],
)
def test_networks_become_ranges_of_which_none_overlaps(networks: list[str], found: list[str]) -> None:
    assert sorted(f"{unpack(a)}-{unpack(b)}" for a, b in ranges(map(Prefix.parse, networks))) == found


def configured(name: str = "default", **spec: Any) -> dict[str, FelixConfiguration]:
    return {name: FelixConfiguration.make(name, **spec)}


def test_nothing_is_set_at_first() -> None:
    assert nat_options(settings_from({}), "n1", {}) == NatOptions()


def test_options_of_the_cluster_apply_then_those_of_the_node_then_its_settings() -> None:
    cluster = configured(natOutgoingAddress="192.0.2.7", natPortRange="1000:2000")
    own = configured("node.n1", natPortRange=3000)
    environment = {"FELIX_NATPORTRANGE": "4000:5000"}
    assert nat_options(settings_from({}), "n2", cluster | own) == NatOptions(pack("192.0.2.7"), (1000, 2000))
    assert nat_options(settings_from({}), "n1", cluster | own) == NatOptions(pack("192.0.2.7"), (3000, 3000))
    assert nat_options(settings_from(environment), "n1", cluster | own).ports == (4000, 5000)
    assert nat_options(settings_from({"FELIX_NATPORTRANGE": "none"}), "n1", cluster | own).ports is None


def test_exclusions_and_a_device_are_read_from_both() -> None:
    cluster = configured(natOutgoingExclusions="IPPoolsAndHostIPs", iptablesNATOutgoingInterfaceFilter="eth+")
    wanted = NatOptions(spares_hosts=True, device="eth*")
    assert nat_options(settings_from({}), "n1", cluster) == wanted
    environment = {
        "FELIX_NATOUTGOINGEXCLUSIONS": "IPPoolsAndHostIPs",
        "FELIX_IPTABLESNATOUTGOINGINTERFACEFILTER": "eth+",
    }
    assert nat_options(settings_from(environment), "n1", {}) == wanted


def test_what_cannot_be_used_is_as_if_it_were_not_there() -> None:
    cluster = configured(natOutgoingAddress="fd00::1", natPortRange="9:1", natOutgoingExclusions="all")
    assert nat_options(settings_from({}), "n1", cluster) == NatOptions()
