"""Where the two forms of a Node, Kubernetes' and Calico's, have the same value.

Pure, and of the standard library only: a table of nodes is printed without their kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "projectcalico.org/"
"""Of the annotations in which a core Node has Calico's values."""

V3_FIELDS: Mapping[str, tuple[str, ...]] = {
    "IPv4Address": ("spec", "bgp", "ipv4Address"),
    "IPv6Address": ("spec", "bgp", "ipv6Address"),
    "ASNumber": ("spec", "bgp", "asNumber"),
    "RouteReflectorClusterID": ("spec", "bgp", "routeReflectorClusterID"),
    "IPv4IPIPTunnelAddr": ("spec", "bgp", "ipv4IPIPTunnelAddr"),
    "IPv4VXLANTunnelAddr": ("spec", "ipv4VXLANTunnelAddr"),
    "IPv6VXLANTunnelAddr": ("spec", "ipv6VXLANTunnelAddr"),
    "VXLANTunnelMACAddr": ("spec", "vxlanTunnelMACAddr"),
    "VXLANTunnelMACAddrV6": ("spec", "vxlanTunnelMACAddrV6"),
    "IPv4WireguardInterfaceAddr": ("spec", "wireguard", "interfaceIPv4Address"),
    "IPv6WireguardInterfaceAddr": ("spec", "wireguard", "interfaceIPv6Address"),
    "Interfaces": ("spec", "interfaces"),
    "WireguardPublicKey": ("status", "wireguardPublicKey"),
    "WireguardPublicKeyV6": ("status", "wireguardPublicKeyV6"),
}
"""Where the v3 form of a Node has what the core form has in an annotation, named here without its prefix."""

TUNNEL_FIELDS: Mapping[str, int] = {
    "IPv4IPIPTunnelAddr": 4,
    "IPv4VXLANTunnelAddr": 4,
    "IPv6VXLANTunnelAddr": 6,
    "IPv4WireguardInterfaceAddr": 4,
    "IPv6WireguardInterfaceAddr": 6,
}
"""Those that name the address of a tunnel, and its IP version."""


def written_value(name: str, annotations: Mapping[str, str], spec: Mapping[str, Any] | None) -> str:
    """Return a value as it is written in an annotation, or else in a v3 Node's spec; "" = in neither."""
    if written := annotations.get(PREFIX + name):
        return written
    found: Any = spec
    for key in V3_FIELDS[name][1:]:
        found = found.get(key) if isinstance(found, Mapping) else None
    return str(found) if found else ""
