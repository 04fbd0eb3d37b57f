"""What this node finds that its pools overlap."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from datastore.kinds.pools import IPPool
from datastore.store import Changed
from felix_py.host.host import Host
from felix_py.notices.pool_surroundings import host_addresses, pool_notices
from felix_py.routes.fib import Fib
from felix_py.snapshot import Snapshot
from kernel.link_codec import InterfaceAddress
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import CALI, node, pool
from tests.felix_py.fakes import ADDRESS, ETH0

BRIDGE = replace(ETH0, index=9, name="docker0")
TUNNEL = replace(ETH0, index=10, name="tunl0")
TUNNEL_ANNOTATION = {"projectcalico.org/IPv4IPIPTunnelAddr": "10.65.1.1"}


def world(*pools: IPPool) -> tuple[Snapshot, Host]:
    snapshot, host = Snapshot("n1"), Host([pack("192.0.2.1")], "cali", ("tunl0",))
    for resource in (*pools, node(**TUNNEL_ANNOTATION)):
        snapshot.fold(Changed(resource))
    host.load(
        [ETH0, CALI, BRIDGE, TUNNEL],
        [
            ADDRESS,
            InterfaceAddress(9, pack("172.17.0.1"), 16, 2, 0),
            InterfaceAddress(9, pack("fe80::1"), 64, 10, 253),
            InterfaceAddress(10, pack("10.65.1.1"), 32, 2, 0),
        ],
    )
    return snapshot, host


@pytest.mark.parametrize(
    ("cidr", "reason", "effect"),
    [
        ("192.0.2.0/24", 'the subnet of Node "n1"', "no block that holds an address of a host is claimed"),
        ("172.17.0.0/16", "the network of docker0 on this host", "no block that holds an address of a host is claimed"),
        ("127.0.0.0/16", "which is each host's own", "no pod gets such an address"),
        ("240.0.0.0/16", "which routers other than Linux refuse", "pods get addresses of it"),
    ],
)
def test_a_pool_that_overlaps_is_a_notice(cidr: str, reason: str, effect: str) -> None:
    [notice] = pool_notices(*world(pool(cidr)))
    assert (notice.kind, notice.name, notice.field, notice.effect) == ("IPPool", "pods", "spec.cidr", effect)
    assert notice.reason.startswith(f"cidr {cidr} overlaps ") and notice.reason.endswith(reason)


@pytest.mark.parametrize(
    ("size", "effect"),
    [
        (26, "the addresses of both are used"),
        (28, "no block is claimed where one of the other's blockSize is"),
    ],
)
def test_a_pool_within_another_is_a_notice(size: int, effect: str) -> None:
    [notice] = pool_notices(*world(pool(), IPPool.make("within", cidr="10.65.85.0/24", block_size=size)))
    assert (notice.kind, notice.name, notice.field, notice.effect) == ("IPPool", "within", "spec.cidr", effect)
    assert notice.reason == 'cidr 10.65.85.0/24 overlaps 10.65.0.0/16 of IPPool "pods"'


def test_a_pool_that_holds_the_tunnels_address_is_as_it_should_be() -> None:
    assert pool_notices(*world(pool())) == ()


def test_addresses_of_this_host_and_its_gateways_are_known() -> None:
    default = RouteSpec(2, 0, hops=(NextHop(2, pack("192.0.2.254")),))
    fib = Fib()
    fib.load([(Prefix.parse("0.0.0.0/0"), default), (Prefix.parse("10.0.0.0/8"), default)])
    found = host_addresses(*world(), fib)
    assert found[ip_address("192.0.2.254")] == "a gateway of this host"
    assert found[ip_address("192.0.2.1")] == "an address of eth0 of this host"
    assert found[ip_address("172.17.255.255")] == "a broadcast address of docker0 of this host"
    assert ip_address("10.65.1.1") not in found
