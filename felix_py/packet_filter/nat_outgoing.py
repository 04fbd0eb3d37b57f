"""Which packets of pods leave with an address of their node: those of pools with natOutgoing to what is in no pool.

Pure. As Felix does it: a disabled pool still counts, its pods may run on; addresses of services are no pods'. Beside
it stands Felix's rule for tunnels: what this host sends into one has the tunnel's address, so that the answer comes
back through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

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
from kernel.nftables_table import AddressSet, AttachedChain, Expression, Program
from net.packet_filter import TCP, Hook

_UDP = 17
_IPV4_BYTES = 4
_SOURCE_NAT = 100  # where iptables and nft have it among the chains at that hook


class NatOptions(Struct, frozen=True):
    """address: the source that packets of IPv4 get; None = one of the device that they leave by. ports: None = any.

    device: the one by which packets must leave, as nft writes it; "" = any.
    """

    address: bytes | None = None
    ports: tuple[int, int] | None = None
    spares_hosts: bool = False
    device: str = ""


def source_nat_chain(programs: Iterable[Program]) -> AttachedChain:
    return AttachedChain("postrouting", "nat", Hook.POSTROUTING, _SOURCE_NAT, tuple(programs))


def outgoing(sources: AddressSet, spared: Iterable[AddressSet], options: NatOptions) -> Iterator[Program]:
    """Yield the rules for pools (`sources`) of a family. spared: the sets of where packets go unchanged."""
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


def through_tunnel(device: str) -> Program:
    """Return the rule for what the host itself sends into a tunnel, by the tunnel's device."""
    other = (*from_own_address(of_out_device=True), *from_own_address(of_out_device=False))
    steps = (*is_family(_IPV4_BYTES), *leaves_by(device), *other, *count(), *masquerade())
    return Program(steps, "of this host, into the tunnel: with the tunnel's address")
