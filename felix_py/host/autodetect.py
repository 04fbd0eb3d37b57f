"""Which of a host's addresses is the node's: the autodetection methods of calico-node.

Pure but for the route look-up, which is handed in. Of several devices that fit we take what a careful operator would:
the address that the Node has, else the one towards the default route, else, as Calico, the first; and name the rivals.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from datastore.fields import Address, Interface, Network, network_or_address

# Devices of container runtimes, bridges and our own: never a node's address. Anchored at both ends.
EXCLUDED = re.compile(
    r"docker.*|cbr.*|dummy.*|podman.*|virbr.*|lxcbr.*|veth.*|lo|br-.*|cali.*|tunl.*|flannel.*|kube-ipvs.*|cni.*"
    r"|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|nodelocaldns"
)


class AutodetectionError(Exception):
    """No address fits the method; the sentence says which."""


class HostInterface(Struct, frozen=True):
    """One device of the host, with its addresses and their prefix lengths."""

    name: str
    up: bool
    addresses: tuple[Interface, ...]


class Method(Struct, frozen=True):
    """How to find the node's address. `text` is the method as written; which other fields count depends on `kind`."""

    text: str
    kind: Literal["first-found", "interface", "skip-interface", "cidr", "can-reach", "kubernetes-internal-ip"]
    patterns: tuple[re.Pattern[str], ...] = ()
    networks: tuple[Network, ...] = ()
    destination: str = ""

    @classmethod
    def parse(cls, text: str) -> Method:
        """Return the method written as first-found, can-reach=HOST, [skip-]interface=REGEX[,…], cidr=CIDR[,…] or
        kubernetes-internal-ip.

        Raises ValueError: a sentence about what is wrong.
        """
        kind, equals, argument = text.partition("=")
        match kind:
            case "first-found" | "kubernetes-internal-ip" if not equals:
                return cls(text, kind)
            case "interface" | "skip-interface":
                return cls(text, kind, patterns=_patterns(argument))
            case "cidr":
                return cls(text, kind, networks=tuple(map(network_or_address, _parts(argument))))
            case "can-reach" if _HOST.fullmatch(argument):
                return cls(text, kind, destination=argument)
            case "can-reach":
                raise ValueError(f'"{argument}" is neither an address nor a host\'s name')
            case _:
                raise ValueError("there is no such method")


OUTSIDE = {4: "1.1.1.1", 6: "2606:4700:4700::1111"}  # where only a default route leads; nothing is sent there
FIRST_FOUND = Method("first-found", "first-found")

_HOST = re.compile(r"[0-9A-Za-z:._-]{1,253}", re.ASCII)


def _parts(argument: str) -> list[str]:
    parts = [part.strip() for part in argument.split(",") if part.strip()]
    if not parts:
        raise ValueError("nothing follows the =")
    return parts


def _patterns(argument: str) -> tuple[re.Pattern[str], ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a later version of Python may read otherwise
        try:
            return tuple(map(re.compile, _parts(argument)))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"bad regular expression: {error}") from None


def detect(
    method: Method,
    version: int,
    interfaces: Sequence[HostInterface],
    source_towards: Callable[[int, str], str | None],
    stored: Interface | None = None,
    internal: Collection[Address] = (),
    warn: Callable[[str], None] = lambda text: None,
) -> Interface:
    """Return the node's address of IP version 4 or 6, with the prefix length it has on its device.

    source_towards: the kernel's source address of an IP version towards a destination, which may be a host's name; None
    if there is no way. stored: the address that the Node has; it is kept while it fits, with the length it has now.
    internal: what Kubernetes knows as the node's InternalIPs. warn: is given a sentence on several devices that fit,
    and which was chosen.
    Raises AutodetectionError.
    """
    usable = [
        HostInterface(i.name, i.up, tuple(a for a in i.addresses if a.version == version and _is_global(a)))
        for i in interfaces
        if i.up
    ]
    fit = _fitting(method, version, usable, source_towards, internal)
    found = fit.found
    if stored is not None and not fit.is_informed:
        found = [(i.name, a) for i in usable for a in i.addresses if a.ip == stored.ip]
        if found:
            warn(f"detect the node's IPv{version} address by {method.text}: {fit.otherwise}; it keeps {stored.ip}")
    same = [address for _, address in found if stored is not None and address.ip == stored.ip]
    if same:
        return stored if stored in same else same[0]  # the length may have changed
    by_default = source_towards(version, OUTSIDE[version]) if len({name for name, _ in found}) > 1 else None
    if not found:
        raise AutodetectionError(
            f"detect the node's IPv{version} address by {method.text}: {fit.otherwise};"
            f" set {'IP' if version == 4 else 'IP6'} or another method"
        )
    return _chosen(found, method.text, version, by_default, warn)


class _Fitting(NamedTuple):
    """The addresses that fit a method, each with its device. otherwise: why there is none.

    is_informed: whether what the method goes by is known at present; a name may not resolve for a while.
    """

    found: Sequence[tuple[str, Interface]]
    otherwise: str = "no device that is up has one that fits"
    is_informed: bool = True


def _fitting(
    method: Method,
    version: int,
    usable: Sequence[HostInterface],
    source_towards: Callable[[int, str], str | None],
    internal: Collection[Address],
) -> _Fitting:
    of_host = [i for i in usable if not EXCLUDED.fullmatch(i.name)]
    match method.kind:
        case "first-found":
            return _Fitting(_candidates(of_host))
        case "interface":
            return _Fitting(_first_pattern(usable, method.patterns))
        case "skip-interface":
            return _Fitting(
                _candidates(i for i in of_host if not any(pattern.search(i.name) for pattern in method.patterns))
            )
        case "cidr":
            return _Fitting(
                _with_address(of_host, lambda ip: any(ip.version == n.version and ip in n for n in method.networks))
            )
        case "can-reach":
            source = source_towards(version, method.destination)
            if source is None:
                reason = f"{method.destination} has no IPv{version} address that is known, or no route leads there"
                return _Fitting((), reason, is_informed=False)
            found = _with_address(usable, lambda ip: str(ip) == source)
            return _Fitting(found, f"{source}, from which {method.destination} is reached, is on no device that is up")
        case "kubernetes-internal-ip":
            named = sorted(str(ip) for ip in internal if ip.version == version)
            if not named:
                return _Fitting((), f"Kubernetes knows no InternalIP of IPv{version} of this node", is_informed=False)
            return _Fitting(
                _with_address(usable, lambda ip: ip in internal), f"{', '.join(named)} is on no device that is up"
            )


def _with_address(interfaces: Iterable[HostInterface], fits: Callable[[Address], bool]) -> list[tuple[str, Interface]]:
    return [(name, address) for name, address in _candidates(interfaces) if fits(address.ip)]


def _chosen(
    found: Sequence[tuple[str, Interface]],
    method: str,
    version: int,
    by_default: str | None,
    warn: Callable[[str], None],
) -> Interface:
    """Return the one address found; several on one device count as its first."""
    devices = {name for name, _ in found}
    if len(devices) > 1:
        rivals = ", ".join(f"{address} on {name}" for name, address in found)
        chosen = next((address for _, address in found if str(address.ip) == by_default), found[0][1])
        warn(
            f"detect the node's IPv{version} address by {method}: {len(devices)} devices fit ({rivals}); {chosen} is "
            "taken; choose one by interface=, cidr= or can-reach="
        )
        return chosen
    return found[0][1]


def _candidates(interfaces: Iterable[HostInterface]) -> list[tuple[str, Interface]]:
    return [(i.name, a) for i in interfaces for a in i.addresses]


def _first_pattern(usable: Sequence[HostInterface], patterns: Sequence[re.Pattern[str]]) -> list[tuple[str, Interface]]:
    """Return what the first pattern finds that finds anything."""
    for pattern in patterns:
        if found := _candidates(i for i in usable if pattern.search(i.name)):
            return found
    return []


def _is_global(address: Interface) -> bool:
    ip = address.ip
    return not (ip.is_link_local or ip.is_loopback or ip.is_multicast or ip.is_unspecified)
