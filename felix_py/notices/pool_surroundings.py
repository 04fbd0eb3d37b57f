"""Where pools overlap each other, or what pods' addresses must keep clear of, seen from this node.

Pure: no I/O, no clock, no logging. What the cluster's records say is checked when a pool is written as well; what this
host's devices show is known here only.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from itertools import starmap

from datastore.fields import Address, Interface
from datastore.kinds.pools import IPPool, within_others
from datastore.notices import Notice
from felix_py.host.host import Host
from felix_py.routes.fib import Fib
from felix_py.snapshot import Snapshot
from ipam.surroundings import RESERVED, UNUSABLE, cluster_networks, interface_addresses, overlaps
from ipam.tunnel_pools import KINDS
from net.prefix import Prefix

_DEFAULT_ROUTES = (Prefix(bytes(4), 0), Prefix(bytes(16), 0))


def pool_notices(snapshot: Snapshot, host: Host) -> tuple[Notice, ...]:
    """Return a notice for each network that a pool overlaps and should not, and each pool that lies within another."""
    nodes = (snapshot.nodes[name] for name in snapshot.subnets.examples())
    known = cluster_networks(nodes, snapshot.bgp_configurations.values())
    own = {interface.network: f"the network of {device} on this host" for interface, device in _own(snapshot, host)}
    pools = [pool.resource for pool in snapshot.pools.values()]
    outside = (
        Notice("IPPool", one.pool, "spec.cidr", one.reason, _effect(one.other in UNUSABLE, one.other in RESERVED))
        for one in overlaps(pools, own | dict(known))
    )
    return (*outside, *starmap(_shared, within_others(pools)))


def _shared(pool: IPPool, widest: IPPool) -> Notice:
    reason = f'cidr {pool.network} overlaps {widest.network} of IPPool "{widest.name}"'
    effect = "the addresses of both are used"
    if pool.block_size != widest.block_size:
        effect = "no block is claimed where one of the other's blockSize is"
    return Notice("IPPool", pool.name, "spec.cidr", reason, effect)


def host_addresses(snapshot: Snapshot, host: Host, fib: Fib) -> dict[Address, str]:
    """Return the addresses of this host and of its default gateways, and whose each is."""
    found = {
        ip_address(hop.gateway): "a gateway of this host"
        for prefix in _DEFAULT_ROUTES
        for spec in fib.foreign.get(prefix, {}).values()
        for hop in spec.hops
        if hop.gateway
    }
    for interface, device in _own(snapshot, host):
        found |= interface_addresses([interface], f"{device} of this host")
    return found


def _own(snapshot: Snapshot, host: Host) -> Iterator[tuple[Interface, str]]:
    """Yield the global addresses of this host's devices, but for those of tunnels: they come from pools."""
    node = snapshot.nodes.get(snapshot.node)
    tunnels = {node.tunnel_address(kind) for kind in KINDS} if node else set[Address | None]()
    for one in host.addresses:
        interface = ip_interface((one.address, one.length))
        if one.scope == 0 and interface.ip not in tunnels:
            yield interface, host.names.get(one.index, "a device")


def _effect(unusable: bool, reserved: bool) -> str:
    if unusable:
        return "no pod gets such an address"
    return "pods get addresses of it" if reserved else "no block that holds an address of a host is claimed"
