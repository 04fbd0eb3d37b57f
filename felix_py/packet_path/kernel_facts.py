"""What this node's kernel does with packets between two addresses, read on request.

An edge that changes nothing. It works in the calling thread, which enters a pod's namespace and returns: call it
in a thread of its own. A pod can be read where its namespace has a name in /var/run/netns, as container runtimes give
it one; of others it is said why not.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from felix_py.packet_path.filter_facts import (
    CalledSession,
    Way,
    device_towards,
    filtered_between,
    filtered_in_pod,
    filtered_sessions,
    redirected_between,
)
from felix_py.status_model import DeviceFacts, KernelFacts, NeighbourFacts, Passage, PodFacts
from kernel.iptables import read_iptables
from kernel.link_codec import InterfaceAddress, Link, NeighbourEntry
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import CLONE_NEWNET, inside, kind_of
from kernel.nftables import read_nftables
from kernel.route import RouteKind, RouteSpec, ip_route
from kernel.rule import deciding
from kernel.sysctl import read_sysctls
from net.ip_route import IpRoute
from net.packet_filter import Chain, Packet, PacketFilters
from net.prefix import Prefix, unpack

NAMESPACES = Path("/var/run/netns")
"""As iproute2 and the container runtimes write it; nearly everywhere /var/run is a link to /run."""
LINK_LOCAL_SCOPE = 253

# A lookup that ends at such a route is answered by its error and not by the route (IPv4).
_DEAD_ENDS = {
    errno.EINVAL: RouteKind.BLACKHOLE,
    errno.EACCES: RouteKind.PROHIBIT,
    errno.EHOSTUNREACH: RouteKind.UNREACHABLE,
}


def kernel_facts(
    to: bytes,
    from_: bytes,
    pods: Mapping[bytes, str],
    namespaces: Path = NAMESPACES,
    sessions: Collection[CalledSession] = (),
) -> KernelFacts:
    """Return the routes to both addresses, the devices and pods they concern, and what else decides about packets.

    pods: the devices of those of the two that are addresses of pods here. namespaces: where those of pods have names.
    sessions: this node's BGP sessions. Raises KernelError.
    """
    with closing(Devices()) as here:
        links = here.links()
        names = {index: link.name for index, link in links.items()}
        indices = {name: index for index, name in names.items()}
        routes = {unpack(address): _route(here, address, names) for address in (to, from_)}
        shown = {route.device for route in routes.values() if route} | set(pods.values())
        devices = tuple(_devices(links, here.addresses(), shown))
        neighbours = tuple(_next_hops(here, routes, names))
        named_pods = {unpack(address): name for address, name in pods.items()}
        filters = packet_filters(names, nat=True, translated=Packet(from_, to, None, None))
        towards = _with_devices(here, sessions, names)
        way = Way(filters, routes, named_pods, {device.name: device for device in devices})
        passages = tuple(_passages(here, way, ((from_, to), (to, from_)), indices))
    read = {
        unpack(address): _pod_facts((from_, to), address, indices.get(device, 0), namespaces)
        for address, device in pods.items()
    }
    return KernelFacts(
        routes,
        devices,
        {address: facts for address, facts in read.items() if isinstance(facts, PodFacts)},
        passages,
        neighbours,
        (
            *filtered_between(way, unpack(from_), unpack(to), is_answer=False),
            *filtered_between(way, unpack(to), unpack(from_), is_answer=True),
            *filtered_sessions(filters, towards),
        ),
        filters.unread,
        *_tracked_connections(),
        {address: reason for address, reason in read.items() if isinstance(reason, str)},
        tuple(redirected_between(way, unpack(from_), unpack(to))),
    )


def with_devices(sessions: Iterable[CalledSession], names: Mapping[int, str]) -> list[CalledSession]:
    """Return BGP sessions with the devices towards their peers, which filters of a device ask for.

    names: of devices, by index. Raises KernelError.
    """
    with closing(Devices()) as here:
        return _with_devices(here, sessions, names)


def _with_devices(here: Devices, sessions: Iterable[CalledSession], names: Mapping[int, str]) -> list[CalledSession]:
    return [session._replace(device=_device_towards(here, session.peer, names)) for session in sessions]


def _device_towards(here: Devices, address: bytes, names: Mapping[int, str]) -> str | None:
    """Return the device that packets for an address leave by; None where several do, or none."""
    route = _route(here, address, names)
    used = {hop.device for hop in route.hops} if route else set()
    return used.pop() if len(used) == 1 else None


def packet_filters(devices: Mapping[int, str], *, nat: bool = False, translated: Packet | None = None) -> PacketFilters:
    """Return the chains of nftables and of iptables-legacy; what cannot be read is named. devices: names by index.

    nat: also those that translate addresses, and drop nothing; translated: of these, what this packet may come to.
    """
    chains: list[Chain] = []
    unread = []
    readers: tuple[Callable[[], list[Chain]], ...] = (
        partial(read_nftables, devices, nat=nat, translated=translated),
        partial(read_iptables, nat=nat),
    )
    for read in readers:
        try:
            chains += read()
        except KernelError as error:
            unread.append(str(error))
    return PacketFilters(tuple(chains), tuple(unread))


def _tracked_connections() -> tuple[int, int]:
    """Return how many connections are tracked, and how many can be."""
    paths = [f"net/netfilter/nf_conntrack_{name}" for name in ("count", "max")]
    found = read_sysctls(paths)
    return (int(found[paths[0]]), int(found[paths[1]])) if len(found) == len(paths) else (0, 0)


def _next_hops(
    here: Devices, routes: Mapping[str, IpRoute | None], names: Mapping[int, str]
) -> Iterator[NeighbourFacts]:
    """Yield the neighbour entries of the next hops of routes, each by what it leads to, which may be on the link."""
    leading = [(address, route) for address, route in routes.items() if route and route.kind != "local"]
    wanted = {(hop.device, hop.gateway or address) for address, route in leading for hop in route.hops}
    for entry in here.neighbours() if wanted else ():
        if (names.get(entry.index, ""), unpack(entry.address)) in wanted:
            yield _neighbour(entry, names[entry.index])


def _neighbour(entry: NeighbourEntry, device: str) -> NeighbourFacts:
    mac = entry.mac.hex(":")
    return NeighbourFacts(unpack(entry.address), device, mac, entry.permanent, entry.unanswered, entry.asked)


def _passages(
    here: Devices, way: Way, directions: Iterable[tuple[bytes, bytes]], indices: Mapping[str, int]
) -> Iterator[Passage]:
    """Yield what happens to packets that come in by a device, where it is known which."""
    for source, destination in directions:
        ends = unpack(source), unpack(destination)
        back, device = way.routes.get(ends[0]), device_towards(way, ends[0])
        index = indices.get(device or "", 0)
        if device is None or index == 0 or back is None or not back.forwards or back.kind == "local":
            continue
        rules = here.rules(len(destination))
        try:
            found = here.lookup_forwarded(destination, source, index)
        except KernelError as refused:
            rule = deciding(rules, source, destination, device, 0)
            yield Passage(*ends, device, rule=str(rule or ""), refused=str(refused))
            continue
        names = {number: name for name, number in indices.items()}
        rule = deciding(rules, source, destination, device, found.table)
        yield Passage(*ends, device, ip_route(found.prefix, found.spec, names), found.table, str(rule or ""))


def _devices(
    links: Mapping[int, Link], addresses: Collection[InterfaceAddress], shown: Collection[str]
) -> Iterator[DeviceFacts]:
    """Yield the devices with these names, and those that have an address of more than their own link."""
    for index, link in links.items():
        own = [unpack(one.address) for one in addresses if one.index == index and one.scope < LINK_LOCAL_SCOPE]
        if own or link.name in shown:
            yield _device(link, own)


def _device(link: Link, addresses: Iterable[str]) -> DeviceFacts:
    # IPv4 asks the device alone, IPv6 the node first, and then whether the device forwards all the same.
    forwarding = {"4": f"net/ipv4/conf/{link.name}/forwarding", "6": "net/ipv6/conf/all/forwarding"}
    node, forced = "net/ipv4/ip_forward", f"net/ipv6/conf/{link.name}/force_forwarding"
    checks = [f"net/ipv4/conf/{name}/rp_filter" for name in ("all", link.name)]
    proxy = f"net/ipv4/conf/{link.name}/proxy_arp"
    values = read_sysctls([*forwarding.values(), *checks, proxy, node, forced])
    forwards = {version: values[path] != "0" for version, path in forwarding.items() if path in values}
    if values.get(forced, "0") != "0":
        forwards["6"] = True
    return DeviceFacts(
        link.name,
        link.up,
        link.carrier,
        link.mtu,
        link.kind,
        tuple(addresses),
        forwarding=forwards,
        mac=link.mac.hex(":"),
        reverse_path=max(int(values.get(path, "0")) for path in checks),  # the kernel takes the stricter number so
        proxy_arp=values.get(proxy) != "0",
        own_switch=("4",) if not forwards.get("4", True) and values.get(node, "0") != "0" else (),
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


def _pod_facts(ends: tuple[bytes, bytes], address: bytes, host_index: int, namespaces: Path) -> PodFacts | str:
    """Return what the namespace of one of two ends does with packets between them; why not, if none can be entered.

    ends: the first begins. host_index: of the other end of its veth; 0 = there is none. While a pod that had
    the address before is being removed, two namespaces have it.
    """
    others = strangers = 0
    refused = ""
    for file in sorted(namespaces.glob("*")):
        try:
            netns = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # its pod has just ended
        try:
            if kind_of(netns) != CLONE_NEWNET:
                strangers += 1
                continue
            with inside(netns), closing(Devices()) as pod:
                if (found := _in_pod(pod, ends, address, host_index)) is not None:
                    return found
            others += 1
        except KernelError as error:
            refused = f"{file}: {error}"
        finally:
            os.close(netns)
    return refused or _not_there(namespaces, others, strangers)


def _not_there(folder: Path, others: int, strangers: int) -> str:
    """Return why no namespace was found. others: that are another pod's. strangers: files that are no namespaces."""
    found = f"none of the {others} network namespaces in {folder} has its address"
    if not others:
        found = f"{folder} has no network namespaces"
    if not strangers:
        return found
    container = "as where a container's mount of it does not follow the host's (mountPropagation: HostToContainer)"
    return f"{found}, and {strangers} files that are none, {container}"


def _in_pod(pod: Devices, ends: tuple[bytes, bytes], address: bytes, host_index: int) -> PodFacts | None:
    """Return what the namespace that this thread is in holds of an address; None if it is another pod's."""
    links = pod.links()
    index = next((one.index for one in pod.addresses() if one.address == address), 0)
    if index not in links or (host_index and links[index].peer not in (0, host_index)):
        return None
    names = {number: link.name for number, link in links.items()}
    begins = address == ends[0]
    other = ends[1] if begins else ends[0]
    route = _route(pod, other, names)
    gateway = next(_next_hops(pod, {unpack(other): route}, names), None)
    filters, own = packet_filters(names), (unpack(address), names[index])
    leaves_by = _device_towards(pod, other, names)
    filtered = tuple(filtered_in_pod(filters, own, unpack(other), leaves_by, begins=begins))
    return PodFacts(_device(links[index], [unpack(address)]), route, gateway, filtered, filters.unread)
