"""What pools must keep clear of: the networks of nodes and hosts, of services, and what no pod can have.

Pure. A pool that overlaps a node's own network draws the traffic for nodes to itself: a block is narrower than the
connected network, and its owner has a blackhole for it. A disabled pool gives no addresses, so it may be any network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Final, NamedTuple

from datastore.fields import Address, Interface, Network, network
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.pool_rules import overlap
from ipam.search import block_around, pool_of

UNUSABLE: Final[Mapping[Network, str]] = {
    network(cidr): what
    for cidr, what in (
        ("0.0.0.0/8", "which names this network"),  # RFC 791 §3.2
        ("127.0.0.0/8", "which is each host's own"),
        ("169.254.0.0/16", "which is link-local"),
        ("224.0.0.0/4", "which is multicast"),
        ("255.255.255.255/32", "which is broadcast"),
        ("::/8", "which is reserved, loopback and mapped addresses among it"),  # RFC 4291 §2.4
        ("fe80::/10", "which is link-local"),
        ("ff00::/8", "which is multicast"),
    )
}
"""What no pod can have, whatever a pool says."""

RESERVED: Final[Mapping[Network, str]] = {network("240.0.0.0/4"): "which routers other than Linux refuse"}
"""What is refused for a new pool; one that is there is used."""

Networks = Mapping[Network, str]
"""Each with what it is, as a clause: `the subnet of Node "n1"`."""


class Overlap(NamedTuple):
    """A pool that shares addresses with something else."""

    pool: str
    cidr: Network
    other: Network
    what: str

    @property
    def reason(self) -> str:
        return f"cidr {self.cidr} overlaps {self.other}, {self.what}"

    def __str__(self) -> str:
        return f'IPPool "{self.pool}": {self.reason}'


def overlaps(pools: Iterable[IPPool], networks: Networks) -> Iterator[Overlap]:
    """Yield where pools that pods get addresses from overlap these networks."""
    for pool in pools:
        if pool.spec.disabled or pool.metadata.deletion_timestamp or not _is_for_pods(pool):
            continue
        for other, what in networks.items():
            if overlap(pool.network, other):
                yield Overlap(pool.name, pool.network, other, what)


def cluster_networks(nodes: Iterable[Node], configurations: Iterable[BGPConfiguration]) -> Networks:
    """Return what pools must keep clear of, as far as the cluster's records say it."""
    return {**UNUSABLE, **RESERVED, **service_ranges(configurations), **node_subnets(nodes)}


def node_subnets(nodes: Iterable[Node]) -> Networks:
    """Return the subnets of these nodes, each with the first node that is in it."""
    found: dict[Network, str] = {}
    for node in sorted(nodes, key=lambda node: node.name):
        for interface in (node.ipv4, node.ipv6):
            if interface is not None:
                found.setdefault(interface.network, f'the subnet of Node "{node.name}"')
    return found


def service_ranges(configurations: Iterable[BGPConfiguration]) -> Networks:
    """Return the ranges of services that are announced."""
    return {
        cidr: f'{field} of BGPConfiguration "{one.name}"'
        for one in configurations
        for field, cidr in one.service_ranges()
    }


def interface_addresses(interfaces: Iterable[Interface], whose: str) -> dict[Address, str]:
    """Return the addresses that belong to these interfaces, the broadcast addresses of their networks among them."""
    found: dict[Address, str] = {}
    for interface in interfaces:
        found[interface.ip] = f"an address of {whose}"
        if interface.version == 4 and interface.network.prefixlen < 31:
            for broadcast in (interface.network.network_address, interface.network.broadcast_address):
                found.setdefault(broadcast, f"a broadcast address of {whose}")
    return found


def blocks_of_hosts(pools: Iterable[IPPool], hosts: Mapping[Address, str]) -> Networks:
    """Return the blocks that hold an address of a host, and whose: they must be claimed by no node."""
    pools = [pool for pool in pools if pool.network.prefixlen <= pool.block_size]
    found: dict[Network, str] = {}
    for address, what in hosts.items():
        pool = pool_of(pools, ip_network(address))
        if pool is not None:
            found.setdefault(block_around(pool, ip_network(address)), f"where {address} is {what}")
    return found


def _is_for_pods(pool: IPPool) -> bool:
    return pool.allows("Workload") or pool.allows("Tunnel")
