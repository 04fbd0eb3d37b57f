"""What this node's kernel does with packets between two addresses, read on request.

An edge that changes nothing. It works in the calling thread, which enters a pod's namespace and returns: call it
in a thread of its own. A pod can be read where its namespace has a name in /run/netns, as container runtimes give it
one; others are left out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from felix_py.status_model import DeviceFacts, KernelFacts, PodFacts
from kernel.link_codec import InterfaceAddress, Link
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.route import RouteKind, RouteSpec, ip_route
from kernel.sysctl import read_sysctls
from net.ip_route import IpRoute
from net.prefix import Prefix, unpack

NAMESPACES = Path("/run/netns")
LINK_LOCAL_SCOPE = 253

# A lookup that ends at such a route is answered by its error and not by the route (IPv4).
_DEAD_ENDS = {
    errno.EINVAL: RouteKind.BLACKHOLE,
    errno.EACCES: RouteKind.PROHIBIT,
    errno.EHOSTUNREACH: RouteKind.UNREACHABLE,
}


def kernel_facts(to: bytes, from_: bytes, pods: Mapping[bytes, str], namespaces: Path = NAMESPACES) -> KernelFacts:
    """Return the routes to both addresses, and the devices and pods they concern.

    pods: the devices of those of the two that are addresses of pods here. namespaces: where those of pods have names.
    Raises KernelError.
    """
    with closing(Devices()) as here:
        links = here.links()
        names = {index: link.name for index, link in links.items()}
        routes = {unpack(address): _route(here, address, names) for address in (to, from_)}
        shown = {route.device for route in routes.values() if route} | set(pods.values())
        devices = tuple(_devices(links, here.addresses(), shown))
    other = {to: from_, from_: to}
    read = {unpack(address): _pod_facts(address, other[address], namespaces) for address in pods}
    return KernelFacts(routes, devices, {address: facts for address, facts in read.items() if facts is not None})


def _devices(
    links: Mapping[int, Link], addresses: Collection[InterfaceAddress], shown: Collection[str]
) -> Iterator[DeviceFacts]:
    """Yield the devices with these names, and those that have an address of more than their own link."""
    for index, link in links.items():
        own = [unpack(one.address) for one in addresses if one.index == index and one.scope < LINK_LOCAL_SCOPE]
        if own or link.name in shown:
            yield _device(link, own)


def _device(link: Link, addresses: Iterable[str]) -> DeviceFacts:
    paths = {version: f"net/ipv{version}/conf/{link.name}/forwarding" for version in ("4", "6")}
    values = read_sysctls(paths.values())
    return DeviceFacts(
        link.name,
        link.up,
        link.carrier,
        link.mtu,
        link.kind,
        tuple(addresses),
        forwarding={version: values[path] != "0" for version, path in paths.items() if path in values},
    )


def _route(here: Devices, address: bytes, names: Mapping[int, str]) -> IpRoute | None:
    """Return the route that carries packets for an address, None if there is none."""
    try:
        prefix, spec = here.lookup(address)
    except KernelError as refused:
        kind = _DEAD_ENDS.get(refused.errno)
        entry = None if kind is None else _longest(here, address, kind)
        if entry is None:
            return None
        prefix, spec = entry
    return ip_route(prefix, spec, names)


def _longest(here: Devices, address: bytes, kind: RouteKind) -> tuple[Prefix, RouteSpec] | None:
    host = Prefix.host(address)
    dead_ends = [(prefix, path) for prefix, path in here.routes() if path.kind == kind and prefix.contains(host)]
    return max(dead_ends, key=lambda entry: entry[0].length, default=None)


def _pod_facts(address: bytes, other: bytes, namespaces: Path) -> PodFacts | None:
    """Return the device that has an address and its namespace's route to the other; None if none can be entered."""
    for file in sorted(namespaces.glob("*")):
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
                    return PodFacts(_device(links[index], [unpack(address)]), _route(pod, other, names))
        except KernelError:
            continue  # not a namespace, or one that this process may not enter
        finally:
            os.close(netns)
    return None
