"""What pools must keep clear of, and which blocks no node may claim."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from ipam.surroundings import blocks_of_hosts, cluster_networks, interface_addresses, overlaps
from tests.ipam.world import pool


def node(name: str, **addresses: str) -> Node:
    return Node.make(name).with_data(**addresses)


NODES = (
    node("n1", IPv4Address="192.0.2.1/24", IPv6Address="2001:db8:1::1/64"),
    node("n2", IPv4Address="192.0.2.2/24"),
    node("n3", IPv4Address="198.51.100.3/32"),
)
SERVICES = BGPConfiguration.make("default", serviceClusterIPs=[{"cidr": "10.96.0.0/12"}])


def found(*pools: IPPool) -> list[str]:
    return [str(one) for one in overlaps(pools, cluster_networks(NODES, [SERVICES]))]


@pytest.mark.parametrize(
    ("cidr", "what"),
    [
        ("192.0.2.0/24", '192.0.2.0/24, the subnet of Node "n1"'),
        ("192.0.0.0/16", '192.0.2.0/24, the subnet of Node "n1"'),
        ("192.0.2.128/25", '192.0.2.0/24, the subnet of Node "n1"'),
        ("198.51.100.0/24", '198.51.100.3/32, the subnet of Node "n3"'),
        ("2001:db8:1::/64", '2001:db8:1::/64, the subnet of Node "n1"'),
        ("10.100.0.0/16", '10.96.0.0/12, serviceClusterIPs of BGPConfiguration "default"'),
        ("240.10.0.0/16", "240.0.0.0/4, which routers other than Linux refuse"),
        ("0.10.0.0/16", "0.0.0.0/8, which names this network"),
        ("127.0.0.0/8", "127.0.0.0/8, which is each host's own"),
        ("224.0.0.0/8", "224.0.0.0/4, which is multicast"),
        ("ff02::/64", "ff00::/8, which is multicast"),
        ("::ffff:0:0/112", "::/8, which is reserved, loopback and mapped addresses among it"),
    ],
)
def test_a_pool_that_overlaps_something_else_is_named_with_both_networks(cidr: str, what: str) -> None:
    assert found(pool("pods", cidr)) == [f'IPPool "pods": cidr {cidr} overlaps {what}']


def test_private_and_documentation_networks_are_what_clusters_are_made_of() -> None:
    cidrs = "10.65.0.0/16", "172.16.0.0/16", "192.168.0.0/16", "100.64.0.0/10", "203.0.113.0/24", "fd00:65::/64"
    assert found(*(pool(f"p{number}", cidr) for number, cidr in enumerate(cidrs))) == []


@pytest.mark.parametrize("spec", [{"disabled": True}, {"allowedUses": ["LoadBalancer"]}])
def test_a_pool_that_gives_pods_no_address_may_be_any_network(spec: dict[str, Any]) -> None:
    assert found(pool("outside", "192.0.2.0/24", **spec)) == []


def test_each_block_that_holds_an_address_of_a_host_is_named() -> None:
    hosts = interface_addresses([ip_interface("192.0.2.70/24")], 'Node "n1"') | {
        ip_address("10.65.0.1"): "a gateway of this host"
    }
    blocks = blocks_of_hosts([pool("near", "192.0.2.0/24"), pool("far", "10.66.0.0/16")], hosts)
    assert blocks == {
        ip_network("192.0.2.0/26"): 'where 192.0.2.0 is a broadcast address of Node "n1"',
        ip_network("192.0.2.192/26"): 'where 192.0.2.255 is a broadcast address of Node "n1"',
        ip_network("192.0.2.64/26"): 'where 192.0.2.70 is an address of Node "n1"',
    }
