"""Which of a host's addresses is the node's: the autodetection methods of calico-node.

Pure but for the route look-up, which is handed in. Where Calico takes the first of several that fit, we refuse
and name the rivals: a node that silently peers from its management address is found out weeks later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_network

Interface = IPv4Interface | IPv6Interface

# Devices of container runtimes, bridges and our own: never a node's address. Anchored at both ends.
EXCLUDED = re.compile(
    r"docker.*|cbr.*|dummy.*|podman.*|virbr.*|lxcbr.*|veth.*|lo|br-.*|cali.*|tunl.*|flannel.*|kube-ipvs.*|cni.*"
    r"|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|nodelocaldns"
)


class AutodetectionError(Exception):
    """No address, or more than one, fits the method; the sentence says which."""


@dataclass(frozen=True, slots=True)
class HostInterface:
    """One device of the host, with its addresses and their prefix lengths."""

    name: str
    up: bool
    addresses: tuple[Interface, ...]


def detect(
    method: str,
    version: int,
    interfaces: Sequence[HostInterface],
    source_towards: Callable[[str], str | None],
) -> Interface:
    """Return the node's address of IP version 4 or 6, with the prefix length it has on its device.

    method: first-found, can-reach=ADDRESS, interface=REGEX[,…], skip-interface=REGEX[,…] or cidr=CIDR[,…].
    source_towards: the kernel's source address towards a destination, None if there is no way.
    Raises AutodetectionError.
    """
    kind, _, argument = method.partition("=")
    usable = [
        HostInterface(i.name, i.up, tuple(a for a in i.addresses if a.version == version and _is_global(a)))
        for i in interfaces
        if i.up
    ]
    match kind:
        case "first-found":
            found = _candidates(i for i in usable if not EXCLUDED.fullmatch(i.name))
        case "interface":
            found = _first_pattern(usable, _patterns(method, argument))
        case "skip-interface":
            skipped = _patterns(method, argument)
            found = _candidates(
                i for i in usable if not EXCLUDED.fullmatch(i.name) and not any(p.search(i.name) for p in skipped)
            )
        case "cidr":
            wanted = _networks(method, argument)
            found = [
                (i.name, a)
                for i in usable
                if not EXCLUDED.fullmatch(i.name)
                for a in i.addresses
                if any(a.version == n.version and a.ip in n for n in wanted)
            ]
        case "can-reach":
            source = source_towards(argument)
            found = [(i.name, a) for i in usable for a in i.addresses if str(a.ip) == source]
        case _:
            raise AutodetectionError(
                f"detect the node's IPv{version} address: {method!r} is no method; use first-found, "
                "can-reach=, interface=, skip-interface= or cidr="
            )
    return _only(found, method, version)


def _only(found: Sequence[tuple[str, Interface]], method: str, version: int) -> Interface:
    """Return the one address found; several on one device count as its first."""
    devices = {name for name, _ in found}
    if not found:
        raise AutodetectionError(
            f"detect the node's IPv{version} address by {method}: no device that is up has one that fits; "
            f"set {'IP' if version == 4 else 'IP6'} or another method"
        )
    if len(devices) > 1:
        rivals = ", ".join(f"{address} on {name}" for name, address in found)
        raise AutodetectionError(
            f"detect the node's IPv{version} address by {method}: {len(devices)} devices fit ({rivals}); "
            "say which by interface=, cidr= or can-reach="
        )
    return found[0][1]


def _candidates(interfaces: Iterable[HostInterface]) -> list[tuple[str, Interface]]:
    return [(i.name, a) for i in interfaces for a in i.addresses[:1]]


def _first_pattern(usable: Sequence[HostInterface], patterns: Sequence[re.Pattern[str]]) -> list[tuple[str, Interface]]:
    """Return what the first pattern finds that finds anything."""
    for pattern in patterns:
        if found := _candidates(i for i in usable if pattern.search(i.name)):
            return found
    return []


def _patterns(method: str, argument: str) -> list[re.Pattern[str]]:
    try:
        return [re.compile(text.strip()) for text in argument.split(",") if text.strip()]
    except re.error as error:
        raise AutodetectionError(f"detect the node's address by {method}: bad regular expression: {error}") from None


def _networks(method: str, argument: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(text.strip()) for text in argument.split(",")]
    except ValueError as error:
        raise AutodetectionError(f"detect the node's address by {method}: {error}") from None


def _is_global(address: Interface) -> bool:
    ip = address.ip
    return not (ip.is_link_local or ip.is_loopback or ip.is_multicast or ip.is_unspecified)
