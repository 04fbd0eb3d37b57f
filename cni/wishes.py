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

REFUSED_ANNOTATIONS: Final = {"floatingIPs": "floating IPs"}
WITHOUT_IPAM: Final = "ipAddrsNoIpam"


class AddressRequest(Struct, frozen=True):
    """Which addresses a pod is to get: this many of each family from these pools, or exactly `addresses`.

    reserved: whether blocks are to say so. Otherwise nothing keeps others from getting them too.
    """

    ipv4: int
    ipv6: int
    ipv4_pools: tuple[str, ...] = ()
    ipv6_pools: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    ipv6_first: bool = False
    reserved: bool = True

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
    if asks_without_ipam(request):
        return _without_ipam(request)
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


def asks_without_ipam(request: CniRequest) -> bool:
    """Whether a pod names addresses that nothing is to give, whichever IPAM its network has.

    Raises CniError (7): its annotation cannot be understood.
    """
    return bool(_listed(request.annotations, WITHOUT_IPAM))


def _without_ipam(request: CniRequest) -> AddressRequest:
    """Raises CniError (7): its network does not allow that, or the addresses are not one of each family at most."""
    network, notes = request.network, request.annotations
    asked = f"ADD: annotation {PREFIX}{WITHOUT_IPAM} {notes[PREFIX + WITHOUT_IPAM]}"
    if not network.feature_control.ip_addrs_no_ipam:
        raise CniError(
            Code.INVALID_CONFIGURATION,
            f"{asked}: network {network.name!r} does not allow addresses without IPAM: set "
            "feature_control.ip_addrs_no_ipam to true in its configuration, or have IPAM reserve them with the "
            f"annotation {PREFIX}ipAddrs",
        )
    if _listed(notes, "ipAddrs"):
        raise CniError(
            Code.INVALID_CONFIGURATION,
            f"{asked}: {PREFIX}ipAddrs {notes[PREFIX + 'ipAddrs']} asks for other ones; remove one of the two",
        )
    addresses = tuple(map(read_address, _listed(notes, WITHOUT_IPAM)))
    versions = [address.version for address in addresses]
    if len(set(versions)) < len(versions):
        raise CniError(Code.INVALID_CONFIGURATION, f"{asked}: it may name one address of each family")
    if unfit := [str(each) for each in addresses if not _is_a_hosts(each)]:
        raise CniError(Code.INVALID_CONFIGURATION, f"{asked}: no pod can have {', '.join(unfit)}")
    return AddressRequest(versions.count(4), versions.count(6), addresses=addresses, reserved=False)


def _is_a_hosts(address: Address) -> bool:
    """Whether packets to an address go to one host, beyond its own link."""
    return not (address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local)


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
