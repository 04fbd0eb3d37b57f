"""What an encapsulation is to the rest of the agent: a value, one for each kind.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import TunnelKind
from datastore.kinds.pools import IPPool

Mode: TypeAlias = Literal["Never", "Always", "CrossSubnet"]


class Encapsulation(Struct, frozen=True):
    """One kind of tunnel.

    kind: as IPAM and the Node's annotations call it. overhead: bytes that it adds to a packet. version: the IP version
    of what it carries. mode_of: how a pool asks for it. configured_mtu: what a FelixConfiguration sets, None or 0 =
    nothing.
    """

    kind: TunnelKind
    device: str
    overhead: int
    version: Literal[4, 6]
    mode_of: Callable[[IPPool], Mode]
    configured_mtu: Callable[[FelixConfiguration], int | None]

    def wanted_by(self, pool: IPPool) -> bool:
        return pool.version == self.version and self.mode_of(pool) != "Never"

    def mtu(self, host_mtu: int, configurations: Mapping[str, FelixConfiguration], node: str) -> int:
        """Return the tunnel's MTU: as configured for the node, else for the cluster, else what the host's leaves."""
        for name in (f"node.{node}", "default"):
            configured = self.configured_mtu(configurations[name]) if name in configurations else None
            if configured:
                return configured
        return host_mtu - self.overhead


def pod_mtu(host_mtu: int, tunnel_mtus: Iterable[int]) -> int:
    """Return the largest packet of a pod: what every tunnel that some pool wants leaves of the host's."""
    return min((host_mtu, *tunnel_mtus))
