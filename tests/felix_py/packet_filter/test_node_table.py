"""What the table holds, from pools, nodes and options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from felix_py.configuration.settings import settings_from
from felix_py.packet_filter.nat_outgoing import NatOptions
from felix_py.packet_filter.node_table import external_nodes, nat_options, node_addresses, ranges, wanted_table
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
OUTSIDE = (Prefix.parse("198.51.100.0/24"),)


def table(*pools: dict[str, Any], options: NatOptions = NatOptions(), tunnels: tuple[str, ...] = ()) -> OwnTable | None:  # noqa: B008 - frozen
    return wanted_table(pools_of(*pools), node_addresses(NODES, OUTSIDE), options, tunnels)


def pools_of(*specs: dict[str, Any]) -> list[Pool]:
    made = (IPPool.make(f"p{number}", **spec) for number, spec in enumerate(specs))
    return [Pool(Prefix.parse(one.spec.cidr), one) for one in made]


def sets(found: OwnTable | None) -> dict[str, list[str]]:
    assert found is not None
    return {one.name: sorted(f"{unpack(a)}-{unpack(b)}" for a, b in one.elements) for one in found.sets}


def programs(found: OwnTable | None) -> list[list[str]]:
    assert found is not None
    chain = found.chains[0]
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
    assert found["nodes_v4"] == ["192.0.2.1-192.0.2.1", "192.0.2.2-192.0.2.2", "198.51.100.0-198.51.100.255"]
    assert found["nodes_v6"] == ["2001:db8::2-2001:db8::2"]
    assert [row.count("lookup") for row in programs(table(NATTED, options=NatOptions(spares_hosts=True)))] == [3]


def test_no_node_is_looked_at_where_nothing_depends_on_their_addresses() -> None:
    def addresses() -> Iterator[Prefix]:
        raise AssertionError("every Node was looked at, for one that changed")
        yield

    assert wanted_table(pools_of(NATTED), addresses(), NatOptions(), ()) == table(NATTED)


def test_what_the_host_sends_into_a_tunnel_gets_the_tunnels_address() -> None:
    found = table(PLAIN, tunnels=("tunl0",))
    assert programs(found) == [["meta", "cmp", "meta", "cmp", "fib", "cmp", "fib", "cmp", "counter", "masq"]]


def test_what_comes_by_a_tunnels_protocol_is_dropped_unless_it_is_from_a_node() -> None:
    found = table(PLAIN, tunnels=("tunl0",))
    assert found is not None and [chain.name for chain in found.chains] == ["postrouting", "input"]
    assert sets(found) == {"nodes_v4": ["192.0.2.1-192.0.2.1", "192.0.2.2-192.0.2.2", "198.51.100.0-198.51.100.255"]}
    both = table(NATTED, options=NatOptions(spares_hosts=True), tunnels=("tunl0",))
    assert both is not None and [one.name for one in both.sets].count("nodes_v4") == 1
    assert len((table(NATTED) or OwnTable()).chains) == 1


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


def test_hosts_outside_the_cluster_that_count_as_nodes_are_read_from_both() -> None:
    cluster = configured(externalNodesList=["198.51.100.0/24", "203.0.113.7"])
    wanted = tuple(map(Prefix.parse, ("198.51.100.0/24", "203.0.113.7/32")))
    assert external_nodes(settings_from({}), "n1", cluster) == wanted
    environment = {"FELIX_EXTERNALNODESCIDRLIST": "203.0.113.8"}
    assert external_nodes(settings_from(environment), "n1", cluster) == (Prefix.host("203.0.113.8"),)
    assert external_nodes(settings_from({"FELIX_EXTERNALNODESCIDRLIST": "none"}), "n1", cluster) == ()
    assert external_nodes(settings_from({}), "n1", configured(externalNodesList=["anyone"])) == ()


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
