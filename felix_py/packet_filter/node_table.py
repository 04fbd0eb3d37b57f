"""What this node's own table of nftables should hold: source NAT of pools, and the guard of its end of a tunnel.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import Node
from felix_py.configuration.setting_types import (
    NatExclusions,
    nat_address,
    nat_device,
    nat_exclusions,
    networks,
    port_range,
)
from felix_py.configuration.settings import Settings
from felix_py.packet_filter.nat_outgoing import NatOptions, outgoing, source_nat_chain, through_tunnel
from felix_py.packet_filter.tunnel_guard import guard
from felix_py.snapshot import Pool
from kernel.nftables_table import AddressSet, OwnTable, Program, Range
from net.prefix import Prefix

TABLE = "felix"
TITLE = f"table inet {TABLE} of nftables"
WITHOUT = "natOutgoing is not carried out on this node, and its tunnel takes packets from anyone"
_SIZES = {4: 4, 6: 16}  # the bytes of an address, by IP version

_PARSERS: Mapping[str, Callable[[str], object]] = {
    "nat_outgoing_address": nat_address,
    "nat_port_range": port_range,
    "nat_outgoing_exclusions": nat_exclusions,
    "nat_outgoing_device": nat_device,
    "external_nodes": networks,
}


def nat_options(settings: Settings, node: str, configurations: Mapping[str, FelixConfiguration]) -> NatOptions:
    """Return what applies: the node's settings, else its own FelixConfiguration, else the cluster's."""
    found = {name: _applied(settings, name, node, configurations) for name in _PARSERS}
    address, device = found["nat_outgoing_address"], found["nat_outgoing_device"]
    return NatOptions(
        address.packed if address else None,
        found["nat_port_range"],
        found["nat_outgoing_exclusions"] is NatExclusions.POOLS_AND_HOSTS,
        device.replace("+", "*"),
    )


def external_nodes(
    settings: Settings, node: str, configurations: Mapping[str, FelixConfiguration]
) -> tuple[Prefix, ...]:
    """Return the networks whose hosts count as nodes."""
    return tuple(Prefix.of(str(one)) for one in _applied(settings, "external_nodes", node, configurations))


def _applied(settings: Settings, name: str, node: str, configurations: Mapping[str, FelixConfiguration]) -> Any:
    """Return one option; where what is written cannot be used, which is a notice, its default."""
    if name not in settings.model_fields_set:
        for key in (f"node.{node}", "default"):
            written = getattr(configurations[key].spec, name) if key in configurations else None
            if written not in (None, "", ()):
                try:
                    return _PARSERS[name](",".join(written) if isinstance(written, tuple) else str(written))
                except ValueError:
                    break
    return getattr(settings, name)


def node_addresses(nodes: Iterable[Node], external: Iterable[Prefix]) -> Iterator[Prefix]:
    """Yield the addresses of nodes, both families, and the networks whose hosts count as nodes."""
    interfaces = (interface for node in nodes for interface in (node.ipv4, node.ipv6) if interface is not None)
    yield from (Prefix.host(interface.ip.packed) for interface in interfaces)
    yield from external


def wanted_table(
    pools: Collection[Pool], nodes: Iterable[Prefix], options: NatOptions, tunnels: Collection[str]
) -> OwnTable | None:
    """Return the table; None if there is nothing to do.

    nodes: looked at only where something depends on them, as they are many. tunnels: the devices of those of IPv4 that
    are in use.
    """
    sets: list[AddressSet] = []
    programs: list[Program] = []
    hosts = tuple(nodes) if tunnels or options.spares_hosts else ()
    known = {
        version: AddressSet(f"nodes_v{version}", size, ranges(one for one in hosts if len(one.packed) == size))
        for version, size in _SIZES.items()
    }
    for version, size in _SIZES.items():
        of_family = [pool for pool in pools if len(pool.prefix.packed) == size]
        natted = [pool.prefix for pool in of_family if pool.resource.spec.nat_outgoing]
        if natted:
            sources = AddressSet(f"nat_outgoing_v{version}", size, ranges(natted))
            spared = [AddressSet(f"pools_v{version}", size, ranges(p.prefix for p in of_family if p.has_pods))]
            if options.spares_hosts:
                spared.append(known[version])
            sets += [sources, *spared]
            programs += outgoing(sources, spared, options)
    programs += (through_tunnel(device) for device in tunnels)
    if not programs:
        return None
    if tunnels and known[4] not in sets:
        sets.append(known[4])
    return OwnTable(tuple(sets), (source_nat_chain(programs), *([guard(known[4])] if tunnels else [])))


def ranges(prefixes: Iterable[Prefix]) -> frozenset[Range]:
    """Return the addresses of networks as ranges that do not overlap; those of a network within another are in it."""
    found: list[Range] = []
    for prefix in sorted(prefixes):
        last = int.from_bytes(prefix.packed) | (1 << prefix.bits - prefix.length) - 1
        if not found or prefix.packed > found[-1][1]:
            found.append((prefix.packed, last.to_bytes(len(prefix.packed))))
    return frozenset(found)
