"""What this node's kernel does with packets between two addresses, read when somebody asks.

An edge that changes nothing. It works in the calling thread, which moves into a pod's namespace and back: call it
from one that has nothing else to do. A pod can be looked into where its namespace has a name in /run/netns, as
container runtimes give it one; else it is left out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path as File
from typing import Any

from kernel.link_codec import InterfaceAddress, Link
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.route import RouteKind, RouteSpec, ip_route_text
from kernel.sysctl import read_sysctls
from net.prefix import Prefix, unpack

NAMESPACES = File("/run/netns")
LINK_LOCAL_SCOPE = 253

# A lookup that ends at such a route is answered by its error and not by the route (IPv4).
_DEAD_ENDS = {
    errno.EINVAL: RouteKind.BLACKHOLE,
    errno.EACCES: RouteKind.PROHIBIT,
    errno.EHOSTUNREACH: RouteKind.UNREACHABLE,
}


def kernel_facts(to: bytes, from_: bytes, pods: Mapping[bytes, str]) -> dict[str, Any]:
    """Return ways, devices and pods of this node as plain values.

    pods: the devices of those of the two that are addresses of pods here. Raises KernelError.
    """
    with closing(Devices()) as here:
        links = here.links()
        names = {index: link.name for index, link in links.items()}
        ways = {unpack(address): _way(here, address, names) for address in (to, from_)}
        shown = {way["device"] for way in ways.values() if way} | set(pods.values())
        devices = list(_devices(links, here.addresses(), shown))
    other = {to: from_, from_: to}
    seen = {unpack(address): _inside(address, other[address]) for address in pods}
    return {
        "ways": ways,
        "devices": devices,
        "pods": {address: facts for address, facts in seen.items() if facts is not None},
    }


def _devices(
    links: Mapping[int, Link], addresses: Collection[InterfaceAddress], shown: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Yield the devices with these names, and those that have an address of more than their own link."""
    for index, link in links.items():
        own = [unpack(one.address) for one in addresses if one.index == index and one.scope < LINK_LOCAL_SCOPE]
        if own or link.name in shown:
            yield _device(link, own)


def _device(link: Link, addresses: list[str]) -> dict[str, Any]:
    paths = {version: f"net/ipv{version}/conf/{link.name}/forwarding" for version in (4, 6)}
    values = read_sysctls(paths.values())
    return {
        "name": link.name,
        "up": link.up,
        "carrier": link.carrier,
        "mtu": link.mtu,
        "kind": link.kind,
        "addresses": addresses,
        "forwarding": {str(version): values[path] != "0" for version, path in paths.items() if path in values},
    }


def _way(here: Devices, address: bytes, names: Mapping[int, str]) -> dict[str, Any] | None:
    """Return the route that carries packets for an address, None if there is none."""
    try:
        prefix, path = here.lookup(address)
    except KernelError as refused:
        ended = _DEAD_ENDS.get(refused.errno)
        entry = None if ended is None else _longest(here, address, ended)
        if entry is None:
            return None
        prefix, path = entry
    hop = path.hops[0] if path.hops else None
    return {
        "kind": path.kind.name.lower(),
        "prefix": str(prefix),
        "words": ip_route_text(prefix, path, names),
        "protocol": path.protocol,
        "device": names.get(hop.device, "") if hop else "",
        "gateway": unpack(hop.gateway) if hop and hop.gateway else "",
        "mtu": path.mtu,
    }


def _longest(here: Devices, address: bytes, kind: RouteKind) -> tuple[Prefix, RouteSpec] | None:
    host = Prefix.host(address)
    dead_ends = [(prefix, path) for prefix, path in here.routes() if path.kind == kind and prefix.contains(host)]
    return max(dead_ends, key=lambda entry: entry[0].length, default=None)


def _inside(address: bytes, other: bytes) -> dict[str, Any] | None:
    """Return what is seen in the namespace that has an address: the device that has it, and the way to the other."""
    for file in sorted(NAMESPACES.glob("*")):
        try:
            netns = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # its pod has just ended
        try:
            with inside(netns), closing(Devices()) as pod:
                index = next((one.index for one in pod.addresses() if one.address == address), None)
                if index is not None:
                    links = pod.links()
                    names = {index: link.name for index, link in links.items()}
                    return {"device": _device(links[index], [unpack(address)]), "way": _way(pod, other, names)}
        except KernelError:
            continue  # not a namespace, or one that is not ours to enter
        finally:
            os.close(netns)
    return None
