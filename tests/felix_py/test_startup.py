"""Start-up's decisions: which addresses, which pools, and never another node's address."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_interface, ip_network

import pytest

from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Unreadable
from felix_py.autodetect import HostInterface
from felix_py.settings import settings_from
from felix_py.startup import (
    StartupError,
    _make_defaults,
    default_pools,
    free_ipv4_network,
    node_annotations,
    random_ula,
    refuse_duplicates,
)
from tests.ipam.world import MemoryStore

ETH0 = HostInterface("eth0", True, (ip_interface("192.0.2.1/24"), ip_interface("fe80::1/64")))
ETH1 = HostInterface("eth1", True, (ip_interface("198.51.100.1/24"),))


def node(name: str, address: str) -> Node:
    return Node.make(name, annotations={"projectcalico.org/IPv4Address": address})


def test_the_nodes_annotations_are_calicos() -> None:
    assert node_annotations(settings_from({}), ip_interface("192.0.2.1/24"), None, [ETH0, ETH1]) == {
        "IPv4Address": "192.0.2.1/24",
        "IPv6Address": "",
        "Interfaces": '[{"name":"eth0","addresses":["192.0.2.1"]}]',
    }


def test_an_address_of_another_node_is_refused_and_the_node_named() -> None:
    own = (ip_interface("192.0.2.1/24"), None)
    refuse_duplicates("n1", own, [node("n1", "192.0.2.1/24"), node("n2", "192.0.2.2/24")])
    with pytest.raises(StartupError, match="node n2 has it already"):
        refuse_duplicates("n1", own, [node("n2", "192.0.2.1/16")])


def test_pools_are_made_for_families_in_use_that_have_none() -> None:
    dual = settings_from({"IP6": "autodetect", "CALICO_IPV4POOL_CIDR": "10.65.0.0/16"})
    assert next(pool.spec.cidr for pool in default_pools(dual, [], [])) == "10.65.0.0/16"
    assert len(default_pools(dual, [], [])) == 2
    assert not default_pools(settings_from({"CALICO_IPV4POOL_CIDR": "none"}), [], [])
    existing = [IPPool.make("mine", cidr="10.9.0.0/16")]
    assert not default_pools(settings_from({}), existing, [])


def test_the_first_pool_keeps_clear_of_the_hosts_networks() -> None:
    assert free_ipv4_network([]) == IPv4Network("192.168.0.0/16")
    assert free_ipv4_network([ip_network("192.168.7.0/24"), ip_network("172.16.0.0/12")][:1]) == IPv4Network(
        "172.16.0.0/16"
    )
    with pytest.raises(StartupError, match="CALICO_IPV4POOL_CIDR"):
        free_ipv4_network([ip_network("192.168.7.0/24"), ip_network("172.16.0.0/12")])


def test_the_first_ipv6_pool_is_a_random_unique_local_48() -> None:
    assert random_ula().prefixlen == 48
    assert random_ula().subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert random_ula() != random_ula()


async def test_no_pool_is_made_beside_one_that_cannot_be_read() -> None:
    store = MemoryStore()
    store.unreadable = (Unreadable(IPPool, "ours", None, 'IPPool "ours": spec.cidr is required'),)
    await _make_defaults(settings_from({}, {}), store, [ip_interface("192.0.2.1/24")])
    assert (await store.list(IPPool)).objects == ()
    store.unreadable = ()
    await _make_defaults(settings_from({}, {}), store, [ip_interface("192.0.2.1/24")])
    assert len((await store.list(IPPool)).objects) == 1
