"""Which packets of pods leave with an address of their node: those of pools with natOutgoing to what is in no pool.

Pure. As Felix does it: a disabled pool still counts, its pods may run on; addresses of services are no pods'. Beside
it stands Felix's rule for tunnels: what this host sends into one has the tunnel's address, so that the answer comes
back through it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import Node
from felix_py.setting_types import NatExclusions, nat_address, nat_device, nat_exclusions, port_range
from felix_py.settings import Settings
from felix_py.snapshot import Pool
from kernel.nftables_steps import (
    count,
    from_own_address,
    is_family,
    is_in,
    is_protocol,
    leaves_by,
    masquerade,
    source_nat,
)
from kernel.nftables_table import AddressSet, AttachedChain, Expression, OwnTable, Program, Range
from net.packet_filter import TCP, Hook
from net.prefix import Prefix

TABLE = "felix"
SIZES = {4: 4, 6: 16}
"""The bytes of an address, by IP version."""
_SOURCE_NAT = 100  # where iptables and nft have it among the chains at that hook
_UDP = 17

_PARSERS: Mapping[str, Callable[[str], object]] = {
    "nat_outgoing_address": nat_address,
    "nat_port_range": port_range,
    "nat_outgoing_exclusions": nat_exclusions,
    "nat_outgoing_device": nat_device,
}


@dataclass(frozen=True, slots=True)
class NatOptions:
    """address: the source that packets of IPv4 get; None = one of the device that they leave by. ports: None = any.

    device: the one by which packets must leave, as nft writes it; "" = any.
    """

    address: bytes | None = None
    ports: tuple[int, int] | None = None
    spares_hosts: bool = False
    device: str = ""


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


def _applied(settings: Settings, name: str, node: str, configurations: Mapping[str, FelixConfiguration]) -> Any:
    """Return one option; where what is written cannot be used, which is a notice, its default."""
    if name not in settings.model_fields_set:
        for key in (f"node.{node}", "default"):
            written = getattr(configurations[key].spec, name) if key in configurations else None
            if written not in (None, ""):
                try:
                    return _PARSERS[name](str(written))
                except ValueError:
                    break
    return getattr(settings, name)


def wanted_table(
    pools: Collection[Pool], nodes: Iterable[Node], options: NatOptions, tunnels: Collection[str]
) -> OwnTable | None:
    """Return the table that does it; None if there is nothing to do. tunnels: the devices of those that are in use."""
    hosts = list(nodes) if options.spares_hosts else []
    sets: list[AddressSet] = []
    programs: list[Program] = []
    for version, size in SIZES.items():
        of_family = [pool for pool in pools if len(pool.prefix.packed) == size]
        natted = [pool.prefix for pool in of_family if pool.resource.spec.nat_outgoing]
        if natted:
            sources = AddressSet(f"nat_outgoing_v{version}", size, ranges(natted))
            spared = [AddressSet(f"pools_v{version}", size, ranges(p.prefix for p in of_family if p.has_pods))]
            if options.spares_hosts:
                spared.append(_of_hosts(version, hosts))
            sets += [sources, *spared]
            programs += _outgoing(sources, spared, options)
    programs += (_through_tunnel(device) for device in tunnels)
    if not programs:
        return None
    chain = AttachedChain("postrouting", "nat", Hook.POSTROUTING, _SOURCE_NAT, tuple(programs))
    return OwnTable(tuple(sets), (chain,))


def _of_hosts(version: int, nodes: Iterable[Node]) -> AddressSet:
    interfaces = (node.ipv4 if version == 4 else node.ipv6 for node in nodes)
    addresses = frozenset((one.ip.packed, one.ip.packed) for one in interfaces if one is not None)
    return AddressSet(f"nodes_v{version}", SIZES[version], addresses, intervals=False)


def _outgoing(sources: AddressSet, spared: Iterable[AddressSet], options: NatOptions) -> Iterator[Program]:
    matching = [*is_family(sources.size), *is_in("source", sources)]
    for one in spared:
        matching += is_in("destination", one, inside=False)
    if options.device:
        matching += leaves_by(options.device)
    if options.ports:
        for protocol in (TCP, _UDP):
            yield _given(options, sources.size, [*matching, *is_protocol(protocol)], options.ports)
    yield _given(options, sources.size, matching, None)


def _given(options: NatOptions, size: int, matching: Iterable[Expression], ports: tuple[int, int] | None) -> Program:
    own = options.address is not None and len(options.address) == size
    given = source_nat(options.address, ports) if own and options.address else masquerade(ports)
    return Program((*matching, *count(), *given), "natOutgoing: from a pool to what is in none")


def _through_tunnel(device: str) -> Program:
    other = (*from_own_address(of_out_device=True), *from_own_address(of_out_device=False))
    steps = (*is_family(SIZES[4]), *leaves_by(device), *other, *count(), *masquerade())
    return Program(steps, "of this host, into the tunnel: with the tunnel's address")


def ranges(prefixes: Iterable[Prefix]) -> frozenset[Range]:
    """Return the addresses of networks as ranges that do not overlap; those of a network within another are in it."""
    found: list[Range] = []
    for prefix in sorted(prefixes):
        last = int.from_bytes(prefix.packed) | (1 << prefix.bits - prefix.length) - 1
        if not found or prefix.packed > found[-1][1]:
            found.append((prefix.packed, last.to_bytes(len(prefix.packed))))
    return frozenset(found)
