"""A pod's network as one value, and its three readers: made, printed, compared.

Pure. `cni.veth` makes the value through the kernel's generic verbs, `ip_commands` prints it, `differences` compares it
with what was read back. The network is Calico's: the host's end of every veth has the same MAC, a pod's addresses are
/32 and /128, and its default routes lead through link-local addresses for which the host's end answers.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from msgspec import Struct

from cni.addresses import Address
from cni.attachment import Attachment
from cni.errors import CniError, Code
from cni.request import CniRequest
from cni.wishes import hardware_address
from datastore.names import FIRST_DEVICE
from kernel.link_codec import InterfaceAddress, Link, link_local
from kernel.route import LINK_SCOPE, NextHop, RouteSpec
from net.prefix import Prefix, pack, unpack

HOST_MAC: Final = b"\xee" * 6
"""Of the host's end of every pod's veth, so that the gateways' permanent neighbour entries fit on every node."""

GATEWAY: Final = pack("169.254.1.1")
"""A pod's IPv4 next hop: no device has it, proxy ARP on the host's end answers for it."""

GATEWAY6: Final = link_local(HOST_MAC)
"""A pod's IPv6 next hop: the address that the kernel gives the host's end."""

OPTIONAL_SYSCTLS: Final = ("proxy_delay", "accept_ra")
"""Endings of the sysctls that may be refused, as in a container without write access."""

ANYWHERE: Final = {4: pack("192.0.2.1"), 16: pack("2001:db8::1")}
"""By an address's bytes, one that stands for all of the world (RFC 5737, RFC 3849)."""

LEAST_MTU: Final = {4: 68, 6: 1280}  # RFC 791 §3.2, RFC 8200 §5

_BOOT = 3  # RTPROT_BOOT: routes that no daemon maintains
_IPV6_METRIC = 1024  # what IPv6 makes of no metric


class PodRoute(NamedTuple):
    """A route inside the pod. gateway b"": the destination is on link."""

    destination: Prefix
    gateway: bytes = b""


class PodNetwork(Struct, frozen=True):
    """All that the kernel is to hold of one attachment, but for the host's routes, which are the agent's."""

    attachment: Attachment
    host_name: str
    """Of the host's end; the container's end is called as the attachment says."""
    mtu: int
    mac: bytes
    """Of the container's end; b"": the kernel chooses."""
    addresses: tuple[Address, ...]
    """The primary one first."""
    neighbours: tuple[bytes, ...]
    """The gateways, whose permanent entries (at HOST_MAC) save the pod's first packet a question."""
    metric: int
    """Of the routes; 0: the kernel's own."""
    routes: tuple[PodRoute, ...]
    """In an order that the kernel takes: a gateway on link before what leads through it."""
    host_sysctls: Mapping[str, str]
    pod_sysctls: Mapping[str, str]

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        return tuple(Prefix.host(address.packed) for address in self.addresses)

    def route_specs(self, device: int) -> list[tuple[Prefix, RouteSpec]]:
        """Return the container's routes for its device's index."""
        return [
            (
                destination,
                RouteSpec(
                    _BOOT,
                    self.metric or (0 if len(destination.packed) == 4 else _IPV6_METRIC),
                    hops=(NextHop(device, gateway),),
                    scope=0 if gateway else LINK_SCOPE,
                ),
            )
            for destination, gateway in self.routes
        ]


def requested_network(request: CniRequest, host_name: str, addresses: tuple[Address, ...], node_mtu: int) -> PodNetwork:
    """Return the network that a request asks for. node_mtu: what pods of this node get, unless the request says.

    Raises CniError (7): the MTU is too small for a family, or the MAC asked for is not one.
    """
    mtu = request.network.mtu or node_mtu
    least = max((LEAST_MTU[address.version] for address in addresses), default=0)
    if mtu < least:
        raise CniError(Code.INVALID_CONFIGURATION, f"{request.verb}: mtu {mtu} is too small; the least is {least}")
    return pod_network(
        request.attachment,
        host_name,
        addresses,
        mtu,
        mac=bytes.fromhex(hardware_address(request).replace(":", "")),
        forwarding=request.network.container_settings.allow_ip_forwarding,
    )


def pod_network(
    attachment: Attachment,
    host_name: str,
    addresses: tuple[Address, ...],
    mtu: int,
    *,
    mac: bytes = b"",
    forwarding: bool = False,
) -> PodNetwork:
    """Return the network of a pod with these addresses. forwarding: the pod itself may route between devices."""
    gateways = tuple(sorted({_gateway(address) for address in addresses}, key=len))
    ipv6 = GATEWAY6 in gateways
    return PodNetwork(
        attachment=attachment,
        host_name=host_name,
        mtu=mtu,
        mac=mac,
        addresses=addresses,
        neighbours=gateways,
        metric=0 if attachment.device == FIRST_DEVICE else _metric_of(attachment.device),
        routes=tuple(route for gateway in gateways for route in _routes_through(gateway)),
        host_sysctls=_host_sysctls(host_name, ipv6=ipv6),
        pod_sysctls=_pod_sysctls(ipv6=ipv6, forwarding=forwarding),
    )


def _metric_of(device: str) -> int:
    """Return a metric that no other device of the container has, so that routes of two devices stand side by side.

    It is worse than any usual one: a second network must not take the default route over from the first, nor take it
    along when it goes.
    """
    return 1 << 20 | zlib.crc32(device.encode()) >> 12


def gateway_of(address: Address) -> Address:
    """Return the link-local address that an address's default route leads through."""
    return ip_address(_gateway(address))


def _gateway(address: Address) -> bytes:
    return GATEWAY if address.version == 4 else GATEWAY6


def _routes_through(gateway: bytes) -> Iterable[PodRoute]:
    if len(gateway) == 4:  # an IPv6 link-local address is on link without a route of its own
        yield PodRoute(Prefix.host(gateway))
    yield PodRoute(Prefix(bytes(len(gateway)), 0), gateway)


def _host_sysctls(name: str, *, ipv6: bool) -> dict[str, str]:
    """Return the sysctls of the host's end, by path under /proc/sys.

    Proxy ARP answers the pod's question for its gateway; IPv6 needs none, for there the gateway is our own address.
    """
    wanted = {
        f"net/ipv4/conf/{name}/route_localnet": "1",
        f"net/ipv4/neigh/{name}/proxy_delay": "0",
        f"net/ipv4/conf/{name}/proxy_arp": "1",
        f"net/ipv4/conf/{name}/forwarding": "1",
        f"net/ipv6/conf/{name}/accept_ra": "0",  # no pod is this node's router, whatever family it was given
    }
    if ipv6:
        wanted |= {
            f"net/ipv6/conf/{name}/accept_dad": "0",
            f"net/ipv6/conf/{name}/disable_ipv6": "0",
            f"net/ipv6/conf/{name}/proxy_ndp": "1",
            f"net/ipv6/conf/{name}/forwarding": "1",
        }
    return wanted


def _pod_sysctls(*, ipv6: bool, forwarding: bool) -> dict[str, str]:
    """Return the sysctls of the container. A new namespace inherits IPv4 forwarding from the node, a router."""
    wanted = {"net/ipv4/ip_forward": str(int(forwarding))}
    if ipv6:
        wanted |= {f"net/ipv6/conf/{scope}/disable_ipv6": "0" for scope in ("all", "default", "lo")}
        wanted["net/ipv6/conf/all/forwarding"] = str(int(forwarding))
    return wanted


# Printed


def ip_commands(network: PodNetwork, label: str) -> list[str]:
    """Return what makes this network as commands that can be typed back; POD stands for the container's namespace."""
    host, pod = network.host_name, network.attachment.device
    metric = f" metric {network.metric}" if network.metric else ""
    mac = [f"ip -n POD link set {pod} address {network.mac.hex(':')}"] if network.mac else []
    return [
        f"ip link add {host} up address {HOST_MAC.hex(':')} mtu {network.mtu} type veth "
        f"peer name {pod} mtu {network.mtu} netns POD",
        f'ip link set {host} alias "{label}"',
        f"sysctl -w {_assignments(network.host_sysctls)}",
        f"ip netns exec POD sysctl -w {_assignments(network.pod_sysctls)}",
        *mac,
        "ip -n POD link set lo up",
        f"ip -n POD link set {pod} up",
        *(f"ip -n POD address add {_nodad(prefix)} dev {pod}" for prefix in network.prefixes),
        *(
            f"ip -n POD neighbour replace {unpack(gateway)} lladdr {HOST_MAC.hex(':')} dev {pod} nud permanent"
            for gateway in network.neighbours
        ),
        *(f"ip -n POD route replace {_route_text(route, pod)}{metric}" for route in network.routes),
    ]


def _assignments(sysctls: Mapping[str, str]) -> str:
    return " ".join(f"{path}={value}" for path, value in sysctls.items())


def _nodad(prefix: Prefix) -> str:
    return str(prefix) if len(prefix.packed) == 4 else f"{prefix} nodad"


def _route_text(route: PodRoute, device: str) -> str:
    on_link = f"{route.destination} dev {device} scope link"
    return f"{route.destination} via {unpack(route.gateway)} dev {device}" if route.gateway else on_link


# Compared


class FoundNetwork(Struct, frozen=True):
    """What was read back of a pod's network."""

    host: Link
    pod: Link
    addresses: Sequence[InterfaceAddress]
    """Of the container's end."""
    routes: Sequence[tuple[Prefix, RouteSpec]]
    """Of the container, in its main table."""
    neighbours: Collection[bytes]
    """Whom the container's end knows for good to have HOST_MAC."""
    leads_out: Mapping[bytes, bool]
    """Whether packets from each of the pod's addresses have a way to the world, by whatever rule and table."""
    host_sysctls: Mapping[str, str]
    pod_sysctls: Mapping[str, str]
    host_routes: Sequence[tuple[Prefix, RouteSpec] | None]
    """The node's route to each of the pod's addresses; None: there is none."""


def differences(network: PodNetwork, found: FoundNetwork) -> list[str]:
    """Return each difference that breaks the pod's traffic as a phrase.

    Others, such as a smaller MTU, a MAC, forwarding inside the pod or routes that were moved to another table, are the
    work of the plugins behind us or of the pod itself.
    """
    device = network.attachment.device
    return [
        *_link_differences(network, found),
        *(
            f"{device} has no address {prefix}"
            for prefix in network.prefixes
            if prefix not in {Prefix(one.address, one.length) for one in found.addresses}
        ),
        *_route_differences(network, found),
        *_sysctl_differences(network, found),
        *(
            f"the host has no route {prefix} dev {network.host_name}"
            for prefix, route in zip(network.prefixes, found.host_routes, strict=True)
            if not _leads_to(route, prefix, found.host.index)
        ),
    ]


def _link_differences(network: PodNetwork, found: FoundNetwork) -> Iterable[str]:
    name, device = network.host_name, network.attachment.device
    if not found.pod.up:
        yield f"{device} is down in the container"
    if found.pod.peer != found.host.index:
        yield f"{device} is not the other end of {name}"
    if not found.host.up:
        yield f"{name} is down"
    if found.host.mac != HOST_MAC:
        yield f"{name} has MAC {found.host.mac.hex(':')} instead of {HOST_MAC.hex(':')}"
    if found.pod.mtu > found.host.mtu:
        yield f"{device} has MTU {found.pod.mtu}, and what is larger than {name}'s {found.host.mtu} is lost"


def _route_differences(network: PodNetwork, found: FoundNetwork) -> Iterable[str]:
    device = network.attachment.device
    there = {
        (prefix, hop.gateway) for prefix, spec in found.routes for hop in spec.hops if hop.device == found.pod.index
    }
    for destination, gateway in network.routes:
        leads = (found.leads_out[one.packed] for one in network.addresses if len(one.packed) == len(destination.packed))
        if gateway and (destination, gateway) not in there and not all(leads):
            yield f"the container has no default route via {unpack(gateway)} dev {device}, nor another way out"


def _sysctl_differences(network: PodNetwork, found: FoundNetwork) -> Iterable[str]:
    """Yield the host's sysctls without which packets are dropped, and forwarding where the pod was to do it."""
    host = network.host_name
    vital = [f"net/ipv4/conf/{host}/forwarding", f"net/ipv6/conf/{host}/disable_ipv6"]
    if GATEWAY not in found.neighbours:  # then the pod asks for its gateway, and somebody has to answer
        vital.append(f"net/ipv4/conf/{host}/proxy_arp")
    for path, value in network.host_sysctls.items():
        if path in vital and found.host_sysctls.get(path) != value:
            yield f"sysctl {path} is {found.host_sysctls.get(path, 'absent')} instead of {value}"
    for path, value in network.pod_sysctls.items():
        if path.endswith("forward") and value == "1" and found.pod_sysctls.get(path) != value:
            yield f"sysctl {path} is {found.pod_sysctls.get(path, 'absent')} in the container instead of {value}"


def _leads_to(route: tuple[Prefix, RouteSpec] | None, prefix: Prefix, device: int) -> bool:
    return route is not None and route[0] == prefix and [hop.device for hop in route[1].hops] == [device]
