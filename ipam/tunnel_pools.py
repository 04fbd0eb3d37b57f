"""Which pools a node's tunnel addresses come from, and the names they are assigned under.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from datastore.kinds.node import ANNOTATION_PREFIX, Node, TunnelKind
from datastore.kinds.pools import IPPool

KINDS: tuple[TunnelKind, ...] = ("wireguard", "wireguard-v6", "ipip", "vxlan", "vxlan-v6")
"""In the order in which they choose."""

ADDRESS_TYPES: dict[TunnelKind, str] = {
    "ipip": "ipipTunnelAddress",
    "vxlan": "vxlanTunnelAddress",
    "vxlan-v6": "vxlanV6TunnelAddress",
    "wireguard": "wireguardTunnelAddress",
    "wireguard-v6": "wireguardV6TunnelAddress",
}
_PUBLIC_KEYS: dict[TunnelKind, str] = {
    "wireguard": f"{ANNOTATION_PREFIX}WireguardPublicKey",
    "wireguard-v6": f"{ANNOTATION_PREFIX}WireguardPublicKeyV6",
}


def tunnel_handle(kind: TunnelKind, node: str) -> str:
    """Return the handle of a node's tunnel address."""
    return f"{kind}-tunnel-addr-{node}"


def version_of(kind: TunnelKind) -> int:
    return 6 if kind.endswith("v6") else 4


def tunnel_pools(kind: TunnelKind, node: Node, pools: Iterable[IPPool]) -> tuple[IPPool, ...]:
    """Return the pools that the tunnel's address may come from; none: the node needs no such tunnel."""
    if kind in _PUBLIC_KEYS and not node.metadata.annotations.get(_PUBLIC_KEYS[kind]):
        return ()
    return tuple(
        pool
        for pool in pools
        if pool.version == version_of(kind)
        and pool.enabled
        and pool.allows("Tunnel")
        and pool.selects_node(node.labels)
        and _encapsulates(pool, kind)
    )


def _encapsulates(pool: IPPool, kind: TunnelKind) -> bool:
    match kind:
        case "ipip":
            return pool.spec.ipip_mode != "Never"
        case "vxlan" | "vxlan-v6":
            return pool.spec.vxlan_mode != "Never"
        case _:
            return True  # WireGuard takes whatever pool there is: its key says that it is wanted
