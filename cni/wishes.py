"""Which addresses and which MAC a pod asks for: annotations, its Namespace, the runtime and the network. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from cni.addresses import Address, read_address
from cni.errors import CniError, Code
from cni.request import CniRequest
from net.mac import is_device_mac
from net.printable import is_text

PREFIX = "cni.projectcalico.org/"

REFUSED_ANNOTATIONS: Final = {"ipAddrsNoIpam": "addresses without IPAM", "floatingIPs": "floating IPs"}


class AddressRequest(Struct, frozen=True):
    """Which addresses a pod is to get: this many of each family from these pools, or exactly `addresses`."""

    ipv4: int
    ipv6: int
    ipv4_pools: tuple[str, ...] = ()
    ipv6_pools: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    ipv6_first: bool = False

    def is_met_by(self, addresses: tuple[Address, ...]) -> bool:
        """Whether these addresses are as many of each family, or those that are asked for."""
        if self.addresses:
            return set(self.addresses) == set(addresses)
        versions = [address.version for address in addresses]
        return (versions.count(4), versions.count(6)) == (self.ipv4, self.ipv6)


def address_request(request: CniRequest) -> AddressRequest:
    """Return which addresses this pod is to get: its annotations first, then its Namespace's, then the network's.

    Raises CniError (7): an annotation or address cannot be understood or is not implemented, or no family is left.
    """
    network, notes = request.network, request.annotations
    refuse_annotations(request, REFUSED_ANNOTATIONS)
    ipv4, ipv6, first = network.ipam.assign_ipv4, network.ipam.assign_ipv6, False
    if families := _listed(notes, "ipFamilies"):
        if set(families) - {"IPv4", "IPv6"}:
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"ADD: annotation {PREFIX}ipFamilies {list(families)} may hold only IPv4 and IPv6",
            )
        ipv4, ipv6, first = "IPv4" in families, "IPv6" in families, families[0] == "IPv6"
    if not ipv4 and not ipv6:
        raise CniError(
            Code.INVALID_CONFIGURATION,
            f"ADD: network {network.name!r} assigns neither IPv4 nor IPv6: "
            "set ipam.assign_ipv4 or ipam.assign_ipv6 to true",
        )
    given = (
        _listed(notes, "ipAddrs") or network.ips or tuple(filter(None, (request.args or {}).get("IP", "").split(",")))
    )
    return AddressRequest(
        ipv4=int(ipv4),
        ipv6=int(ipv6),
        ipv4_pools=_listed(notes, "ipv4pools") or _of_namespace(request, "ipv4pools") or network.ipam.ipv4_pools,
        ipv6_pools=_listed(notes, "ipv6pools") or _of_namespace(request, "ipv6pools") or network.ipam.ipv6_pools,
        addresses=tuple(dict.fromkeys(map(read_address, given))),
        ipv6_first=first,
    )


def refuse_annotations(request: CniRequest, refused: Mapping[str, str]) -> None:
    """Raises CniError (7): the pod has one of these annotations. refused: what each asks for, by its name."""
    for name, what in refused.items():
        if _listed(request.annotations, name):
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"ADD: annotation {PREFIX}{name} {request.annotations[PREFIX + name]}: {what} are not implemented; "
                "without them the pod would have other addresses than it asks for",
            )


def hardware_address(request: CniRequest) -> str:
    """Return the MAC asked for the container's end, or nothing: the kernel chooses. Raises CniError (7)."""
    network = request.network
    wanted = request.annotations.get(PREFIX + "hwAddr") or network.runtime_config.get("mac")
    text = str(wanted or (request.args or {}).get("MAC", "")).lower()
    if text and not is_device_mac(text):
        raise CniError(
            Code.INVALID_CONFIGURATION, f"ADD: {text!r}, asked for as a MAC address, is none that a device can have"
        )
    return text


def _of_namespace(request: CniRequest, name: str) -> tuple[str, ...]:
    return _listed(request.namespace_annotations, name, f" of Namespace {request.pod.namespace}")


def _listed(annotations: Mapping[str, str], name: str, whose: str = "") -> tuple[str, ...]:
    text = annotations.get(PREFIX + name)
    if not text:
        return ()
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) and is_text(item) for item in items):
        raise CniError(
            Code.INVALID_CONFIGURATION, f"ADD: annotation {PREFIX}{name}{whose} {text!r} is not a JSON list of strings"
        )
    return tuple(items)
