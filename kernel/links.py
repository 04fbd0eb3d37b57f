"""Devices and what hangs on them: a pod's veth, addresses, neighbours, sysctls; and reading all of it back.

Edge: it carries out and decides nothing. A `Devices` works in the network namespace its maker was in; to work inside a
pod, make one there:

    with inside(netns_fd), closing(Devices()) as pod:
        pod.furnish("eth0", addresses, gateway_mac)

Nothing here awaits: a namespace belongs to the thread, and no other task may run in the pod's by accident.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from kernel import link_codec
from kernel.link_codec import InterfaceAddress, Link, NeighbourEntry, link_local
from kernel.message import ACK, CREATE, ECHO, EXCLUSIVE, REPLACE, explain, message
from kernel.netlink import KernelError, NetlinkSocket
from kernel.route import (
    GET_ROUTE,
    LINK_SCOPE,
    MAIN_TABLE,
    NextHop,
    RouteSpec,
    decode_route,
    dump_request,
    match_request,
    put_message,
)
from net.prefix import Prefix, unpack

HOST_MAC = b"\xee" * 6  # of the host's end of every pod's veth, so that one gateway fits all pods
POD_GATEWAY = socket.inet_aton("169.254.1.1")  # a pod's IPv4 next hop; its host's end answers for it
_ANYWHERE_4, _ANYWHERE_6 = Prefix(bytes(4), 0), Prefix(bytes(16), 0)
_BOOT = 3  # the protocol number of routes that nobody maintains
_ABSENT = (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)


def host_sysctls(name: str, *, ipv6: bool) -> dict[str, str]:
    """Return the sysctls that the host's end of a pod's veth needs, by path under /proc/sys.

    Proxy ARP answers the pod's question for its gateway; IPv6 needs none, for there the gateway is our own address.
    """
    wanted = {
        f"net/ipv4/conf/{name}/route_localnet": "1",
        f"net/ipv4/neigh/{name}/proxy_delay": "0",
        f"net/ipv4/conf/{name}/proxy_arp": "1",
        f"net/ipv4/conf/{name}/forwarding": "1",
    }
    if ipv6:
        wanted |= {
            f"net/ipv6/conf/{name}/accept_dad": "0",
            f"net/ipv6/conf/{name}/disable_ipv6": "0",
            f"net/ipv6/conf/{name}/proxy_ndp": "1",
            f"net/ipv6/conf/{name}/forwarding": "1",
            f"net/ipv6/conf/{name}/accept_ra": "0",
        }
    return wanted


class Devices:
    """The devices of one network namespace: the one this thread was in when the object was made."""

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(receive_buffer=1 << 20)

    def close(self) -> None:
        self._netlink.close()

    # Reading

    def links(self) -> dict[int, Link]:
        """Return every device by index: leftovers are found among them by name or group. Raises KernelError."""
        found = self._netlink.dump(link_codec.GET_LINK, link_codec.every_link(), "read the devices")
        return {link.index: link for item in found if (link := link_codec.decode_link(item.body)) is not None}

    def link(self, name: str) -> Link | None:
        """Return the device with this name, None if there is none. Raises KernelError."""
        try:
            answers = self._netlink.request(link_codec.GET_LINK, 0, link_codec.link_named(name), f"read device {name}")
        except KernelError as refused:
            if refused.errno == errno.ENODEV:
                return None
            raise
        return link_codec.decode_link(answers[0].body)

    def addresses(self, index: int = 0) -> list[InterfaceAddress]:
        """Return the addresses of one device, or of all (0), both families. Raises KernelError."""
        found = self._netlink.dump(link_codec.GET_ADDRESS, link_codec.every_address(), "read the addresses")
        every = (address for item in found if (address := link_codec.decode_address(item.body)) is not None)
        return [address for address in every if index in (0, address.index)]

    def routes(self) -> list[tuple[Prefix, RouteSpec]]:
        """Return the main table's routes, both families, in one go: for a pod's few; Rtnetlink.dump is for a node's."""
        routes = []
        for size in (4, 16):
            try:
                found = self._netlink.dump(GET_ROUTE, dump_request(size), "read the routes")
            except KernelError as refused:
                if refused.errno in _ABSENT:
                    continue
                raise
            decoded = (decode_route(item.body) for item in found)
            routes += [(route.prefix, route.spec) for route in decoded if route and route.table == MAIN_TABLE]
        return routes

    def route_to(self, address: bytes) -> tuple[Prefix, RouteSpec] | None:
        """Return the route that carries an address, as the main table has it; None if there is none."""
        try:
            return self.lookup(address)
        except KernelError:
            return None

    def lookup(self, address: bytes) -> tuple[Prefix, RouteSpec]:
        """Return the route of any table that carries an address.

        Raises KernelError: errno ENETUNREACH where there is none; IPv4 routes that lead nowhere are errors as well,
        EINVAL a blackhole, EHOSTUNREACH unreachable, EACCES prohibited.
        """
        tried = f"look up {unpack(address)}"
        answers = self._netlink.request(GET_ROUTE, 0, match_request(address), tried)
        route = decode_route(answers[0].body) if answers else None
        if route is None:
            raise KernelError(f"{tried}: no route in the answer", errno.ENETUNREACH)
        return route.prefix, route.spec

    def neighbours(self, index: int = 0) -> list[NeighbourEntry]:
        """Return the neighbour entries of one device, or of all (0), both families. Raises KernelError."""
        found = self._netlink.dump(link_codec.GET_NEIGHBOUR, link_codec.every_neighbour(), "read the neighbours")
        every = (entry for item in found if (entry := link_codec.decode_neighbour(item.body)) is not None)
        return [entry for entry in every if index in (0, entry.index)]

    # A pod's veth

    def create_veth(self, name: str, netns: int, pod_name: str, mtu: int = 0, mac: bytes = HOST_MAC) -> Link:
        """Make a veth: `name` here, up, with this MAC; its other end, `pod_name`, born down in the netns descriptor.

        mtu 0: the kernel's default. Return the host's end as it reads back. Raises KernelError: errno EEXIST where one
        of the names is taken (FileExistsError's number; the pod's name may be meant).
        """
        tried = f"create veth {name} with {pod_name} in the pod"
        body = link_codec.veth(name, mac, mtu, pod_name, netns)
        told = self._netlink.request(link_codec.NEW_LINK, CREATE | EXCLUSIVE | ECHO, body, tried)
        # Kernels before 6.2 do not echo what they made.
        made = link_codec.decode_link(told[0].body) if told else self.link(name)
        if made is None:
            raise KernelError(f"{tried}: gone right after it was made", errno.ENODEV)
        if made.mac != mac:  # udev's MAC policy was quicker
            self.set_mac(made.index, mac)
            made = replace(made, mac=mac)
        return made

    def furnish(
        self,
        pod_name: str,
        addresses: Iterable[bytes],
        *,
        routes: Collection[Prefix] | None = None,
        gateway_mac: bytes = HOST_MAC,
        mtu: int = 0,
    ) -> Link:
        """Inside a pod: bring lo and the device up, give it addresses, routes and its gateway's MAC, in one batch.

        Per family: each address as /32 or /128, the gateway (169.254.1.1, or the host end's link-local address) as a
        permanent neighbour, and `routes` through it; None means the default route of each family that has an address.
        Return the pod's end as it reads back. Raises KernelError: the sentence names the first step refused.
        """
        link = self.link(pod_name)
        if link is None:
            raise KernelError(f"furnish {pod_name} in the pod: there is no such device", errno.ENODEV)
        index, given = link.index, list(addresses)
        sizes = sorted({len(address) for address in given})
        steps: list[tuple[str, int, int, bytes]] = [
            ("bring lo up", link_codec.NEW_LINK, 0, link_codec.state(1, up=True)),
            (f"bring {pod_name} up", link_codec.NEW_LINK, 0, link_codec.state(index, up=True)),
        ]
        if mtu:
            steps.append((f"set the MTU of {pod_name} to {mtu}", link_codec.SET_LINK, 0, link_codec.mtu(index, mtu)))
        fresh = CREATE | EXCLUSIVE
        for address in given:
            body = link_codec.address(index, address, 8 * len(address))
            steps.append((f"add address {unpack(address)} to {pod_name}", link_codec.NEW_ADDRESS, fresh, body))
        for size in sizes:
            gateway = POD_GATEWAY if size == 4 else link_local(gateway_mac)
            body = link_codec.neighbour(index, gateway, gateway_mac)
            tried = f"make {unpack(gateway)} a neighbour of {pod_name}"
            steps.append((tried, link_codec.NEW_NEIGHBOUR, CREATE | REPLACE, body))
        requests, tries = self._numbered(steps)
        for prefix, spec in _pod_routes(index, sizes, gateway_mac, routes):
            first = self._netlink.sequences(1)
            requests.append(put_message(first, prefix, spec))
            tries[first] = f"put route {prefix} in the pod"
        self._all_or_error(requests, tries)
        return replace(link, up=True, mtu=mtu or link.mtu)

    def retire(self, index: int, new_name: str, group: int) -> None:
        """Put a device out of the way in one step: down, renamed, and into the group that `reap` deletes.

        Content when it is gone already. Raises KernelError: errno EEXIST where the new name is taken.
        """
        body = link_codec.state(index, up=False, name=new_name, group=group)
        self._content_without(link_codec.SET_LINK, body, f"retire device {index} as {new_name}")

    def reap(self, group: int) -> None:
        """Delete every device of a group. It takes 15 to 35 ms however many they are: call it from a thread.

        Content when there is none. Raises KernelError.
        """
        self._content_without(
            link_codec.DELETE_LINK, link_codec.whole_group(group), f"delete the devices of group {group}"
        )

    def delete(self, index: int) -> None:
        """Delete one device, and with a veth its other end. It takes 16 to 35 ms. Content when it is gone already."""
        self._content_without(link_codec.DELETE_LINK, link_codec.state(index), f"delete device {index}")

    # Single changes

    def create(self, name: str, kind: str) -> None:
        """Make a device of a kind that needs nothing else said; the kernel loads the kind's module first.

        Raises KernelError: errno EEXIST where the name is taken, if only by the device that came with the module;
        EOPNOTSUPP where this kernel has no such kind.
        """
        self._netlink.request(
            link_codec.NEW_LINK, CREATE | EXCLUSIVE, link_codec.plain(name, kind), f"create {name} of kind {kind}"
        )

    def set_up(self, index: int) -> None:
        self._netlink.request(link_codec.NEW_LINK, 0, link_codec.state(index, up=True), f"bring device {index} up")

    def set_mtu(self, index: int, mtu: int) -> None:
        self._netlink.request(
            link_codec.SET_LINK, 0, link_codec.mtu(index, mtu), f"set the MTU of device {index} to {mtu}"
        )

    def set_mac(self, index: int, mac: bytes) -> None:
        tried = f"set the MAC of device {index} to {mac.hex(':')}"
        self._netlink.request(link_codec.SET_LINK, 0, link_codec.mac(index, mac), tried)

    def set_alias(self, index: int, alias: str) -> None:
        """Leave a text on a device, which stays on it through renaming and until it is deleted."""
        self._netlink.request(link_codec.SET_LINK, 0, link_codec.alias(index, alias), f"label device {index} {alias!r}")

    def rename(self, index: int, name: str) -> None:
        self._netlink.request(
            link_codec.SET_LINK, 0, link_codec.state(index, name=name), f"rename device {index} to {name}"
        )

    def add_address(self, index: int, address: bytes, length: int) -> None:
        """Add an address, IPv6 without duplicate detection. Content when the device has it already."""
        tried = f"add address {unpack(address)}/{length} to device {index}"
        body = link_codec.address(index, address, length)
        self._netlink.request(link_codec.NEW_ADDRESS, CREATE | REPLACE, body, tried)

    def remove_address(self, index: int, address: bytes, length: int) -> None:
        """Remove an address. Content when it is gone already."""
        tried = f"remove address {unpack(address)}/{length} from device {index}"
        self._content_without(link_codec.DELETE_ADDRESS, link_codec.address(index, address, length), tried)

    def put_route(self, prefix: Prefix, spec: RouteSpec) -> None:
        """Put one route, for a namespace that has no Rtnetlink of its own. Raises KernelError."""
        sequence = self._netlink.sequences(1)
        self._all_or_error([put_message(sequence, prefix, spec)], {sequence: f"put route {prefix}"})

    def _content_without(self, kind: int, body: bytes, tried: str) -> None:
        try:
            self._netlink.request(kind, 0, body, tried)
        except KernelError as refused:
            if refused.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL):
                raise

    def _numbered(self, steps: Collection[tuple[str, int, int, bytes]]) -> tuple[list[bytes], dict[int, str]]:
        first = self._netlink.sequences(len(steps))
        requests = [message(kind, flags, n, body) for n, (_, kind, flags, body) in enumerate(steps, first)]
        return requests, {n: tried for n, (tried, *_) in enumerate(steps, first)}

    def _all_or_error(self, requests: list[bytes], tries: Mapping[int, str]) -> None:
        """Send a batch; raise what went wrong first. What else succeeded stays: the caller throws the device away."""
        closing = bytearray(requests[-1])
        closing[6] |= ACK
        failures = self._netlink.batch(b"".join([*requests[:-1], closing]), max(tries))
        if failures:
            first = min(failures)
            raise KernelError(f"{tries[first.sequence]}: {explain(first.errno, first.text)}", first.errno)


def _pod_routes(
    index: int, sizes: Iterable[int], gateway_mac: bytes, routes: Collection[Prefix] | None
) -> Iterator[tuple[Prefix, RouteSpec]]:
    """Yield a pod's routes in an order the kernel takes: first the gateway on link, then what leads through it."""
    for size in sizes:
        if size == 4:
            gateway, metric, default = POD_GATEWAY, 0, _ANYWHERE_4
            yield Prefix.host(gateway), RouteSpec(_BOOT, metric, hops=(NextHop(index),), scope=LINK_SCOPE)
        else:
            gateway, metric, default = link_local(gateway_mac), 1024, _ANYWHERE_6
        spec = RouteSpec(_BOOT, metric, hops=(NextHop(index, gateway),))
        for prefix in (default,) if routes is None else routes:
            if len(prefix.packed) == size:
                yield prefix, spec
