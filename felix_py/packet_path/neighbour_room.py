"""How many neighbours this node needs at once, beside how many its kernel keeps.

Pure. A kernel that keeps no more drops what is sent to another one. The sysctl is the machine's: all its network
namespaces share the room, and what others need of it is not counted here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from kernel.link_codec import InterfaceAddress
from net.prefix import Prefix

SYSCTLS = {4: "net/ipv4/neigh/default/gc_thresh3", 16: "net/ipv6/neigh/default/gc_thresh3"}
"""By the bytes of an address. Only a machine's own network namespace has them."""


class NeighbourRoom(NamedTuple):
    """sysctl: its name. most: how many the kernel keeps. needed: for pods, and peers on links of this node."""

    sysctl: str
    most: int
    needed: int


def too_small(
    limits: Mapping[str, str],
    peers: Collection[bytes],
    pods: Collection[bytes],
    addresses: Collection[InterfaceAddress],
) -> Iterator[NeighbourRoom]:
    """Yield what does not suffice, by family. limits: values of SYSCTLS, where there are any. addresses: the host's."""
    for size, path in SYSCTLS.items():
        if path not in limits:
            continue
        most, of_pods = int(limits[path]), sum(len(pod) == size for pod in pods)
        near = [peer for peer in peers if len(peer) == size]
        if of_pods + len(near) <= most:
            continue  # without a look at each of them
        links = [Prefix(one.address, one.length) for one in addresses if len(one.address) == size]
        needed = of_pods + sum(_is_on(peer, links) for peer in near)
        if needed > most:
            yield NeighbourRoom(path.replace("/", "."), most, needed)


def _is_on(peer: bytes, links: Iterable[Prefix]) -> bool:
    host = Prefix.host(peer)
    return any(link.contains(host) for link in links)
