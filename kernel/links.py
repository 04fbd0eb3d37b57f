"""Devices and what they carry: made, configured, removed, and read back with addresses, neighbours and routes.

Edge: it carries out and decides nothing, and knows nothing of pods. A `Devices` works in the network namespace that its
maker was in; to work inside another, make one there:

    with inside(netns_fd), closing(Devices()) as pod:
        pod.configure_interface(eth0, addresses=[Prefix.parse("10.65.1.7/32")])

Nothing here awaits: a namespace belongs to the thread, and no other task may run in the pod's by accident.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from kernel import link_codec, rule
from kernel.device_sysctls import SET_NEIGHBOUR_TABLE, divided
from kernel.link_codec import InterfaceAddress, Link, NeighbourEntry
from kernel.message import ACK, CREATE, ECHO, EXCLUSIVE, REPLACE, explain, message
from kernel.netlink import NO_SUCH_TABLE, KernelError, NetlinkSocket
from kernel.route import (
    GET_ROUTE,
    MAIN_TABLE,
    DecodedRoute,
    RouteSpec,
    decode_route,
    decode_with_device,
    dump_request,
    match_request,
    put_message,
)
from kernel.rule import PolicyRule
from net.prefix import Prefix, unpack

_NETNS_COOKIE = 71  # SO_NETNS_COOKIE of asm-generic/socket.h


def read_links(netlink: NetlinkSocket) -> dict[int, Link]:
    """Return every device by index, in the kernel's order. Raises KernelError."""
    found = netlink.dump(link_codec.GET_LINK, link_codec.every_link(), "read the devices")
    return {link.index: link for item in found if (link := link_codec.decode_link(item.body)) is not None}


def read_addresses(netlink: NetlinkSocket) -> list[InterfaceAddress]:
    """Return every address of every device, both families. Raises KernelError."""
    found = netlink.dump(link_codec.GET_ADDRESS, link_codec.every_address(), "read the addresses")
    return [address for item in found if (address := link_codec.decode_address(item.body)) is not None]


class _Step(NamedTuple):
    """One message of a batch that changes devices, and what it tries, for the error."""

    tried: str
    kind: int
    flags: int
    body: bytes


class Devices:
    """The devices of one network namespace: the one this thread was in when the object was made."""

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(receive_buffer=1 << 20)

    def close(self) -> None:
        self._netlink.close()

    @property
    def namespace(self) -> int:
        """The cookie of their network namespace, which no other has before the next boot, where an inode's number is
        given again; 0: a kernel before 5.14 has none.
        """
        try:
            return int.from_bytes(self._netlink.socket.getsockopt(socket.SOL_SOCKET, _NETNS_COOKIE, 8), sys.byteorder)
        except OSError:
            return 0

    # Reading

    def links(self) -> dict[int, Link]:
        """Return every device by index: leftovers are found among them by name or group. Raises KernelError."""
        return read_links(self._netlink)

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
        return [address for address in read_addresses(self._netlink) if index in (0, address.index)]

    def routes(self) -> list[tuple[Prefix, RouteSpec]]:
        """Return the main table's routes, both families. For a namespace with few; Rtnetlink.dump is for a node's."""
        every = (route for size in (4, 16) for route in self._routes(size, MAIN_TABLE))
        return [(route.prefix, route.spec) for route in every if route.table == MAIN_TABLE]

    def routes_of_all_tables(self, size: int) -> list[DecodedRoute]:
        """Return the routes of a family, by its addresses' bytes, with the table of each. Raises KernelError.

        Those that lead to this host itself have their device.
        """
        return self._routes(size, 0, decode_with_device)

    def _routes(
        self, size: int, table: int, decode: Callable[[bytes], DecodedRoute | None] = decode_route
    ) -> list[DecodedRoute]:
        try:
            found = self._netlink.dump(GET_ROUTE, dump_request(size, table=table), "read the routes")
        except KernelError as refused:
            if refused.errno in NO_SUCH_TABLE:
                return []
            raise
        return [route for item in found if (route := decode(item.body)) is not None]

    def route_to(self, address: bytes) -> tuple[Prefix, RouteSpec] | None:
        """Return the route that carries an address, as the main table has it; None if there is none."""
        try:
            return self.lookup(address)
        except KernelError:
            return None

    def lookup(self, address: bytes, source: bytes = b"") -> tuple[Prefix, RouteSpec]:
        """Return the route of any table that carries an address, for packets from `source` if it is given.

        Raises KernelError: errno ENETUNREACH where there is none; IPv4 routes that lead nowhere are errors as well,
        EINVAL a blackhole, EHOSTUNREACH unreachable, EACCES prohibited.
        """
        route = self._looked_up(match_request(address, source), f"look up {unpack(address)}")
        return route.prefix, route.spec

    def lookup_forwarded(self, address: bytes, source: bytes, device: int) -> DecodedRoute:
        """Return the route and its table for a packet that comes in by a device. Raises KernelError: it is dropped."""
        tried = f"look up {unpack(address)} from {unpack(source)}"
        return self._looked_up(match_request(address, source, device), tried)

    def _looked_up(self, request: bytes, tried: str) -> DecodedRoute:
        answers = self._netlink.request(GET_ROUTE, 0, request, tried)
        route = decode_route(answers[0].body) if answers else None
        if route is None:
            raise KernelError(f"{tried}: no route in the answer", errno.ENETUNREACH)
        return route

    def rules(self, size: int) -> list[PolicyRule]:
        """Return the rules that choose a routing table, of a family by its addresses' bytes. Raises KernelError."""
        try:
            found = self._netlink.dump(rule.GET_RULE, rule.dump_request(size), "read the routing rules")
        except KernelError as refused:
            if refused.errno in NO_SUCH_TABLE:
                return []
            raise
        return [rule.decode_rule(item.body) for item in found]

    def neighbours(self, index: int = 0) -> list[NeighbourEntry]:
        """Return the neighbour entries of one device, or of all (0), both families. Raises KernelError."""
        found = self._netlink.dump(link_codec.GET_NEIGHBOUR, link_codec.every_neighbour(), "read the neighbours")
        every = (entry for item in found if (entry := link_codec.decode_neighbour(item.body)) is not None)
        return [entry for entry in every if index in (0, entry.index)]

    # Making and configuring

    def create_veth(
        self, name: str, netns: int, peer_name: str, mac: bytes, mtu: int = 0, peer_mac: bytes = b""
    ) -> Link:
        """Make a veth: `name` here, up, with this MAC; its other end, `peer_name`, created down in netns.

        mtu 0: the kernel's default. peer_mac b"": the kernel chooses. Return this end as it reads back. Raises
        KernelError: errno EEXIST where one of the names is taken (FileExistsError's number; the peer's name may be
        meant).
        """
        tried = f"create veth {name} with peer {peer_name}"
        body = link_codec.veth(name, mac, mtu, peer_name, netns, peer_mac)
        echoed = self._netlink.request(link_codec.NEW_LINK, CREATE | EXCLUSIVE | ECHO, body, tried)
        # Kernels before 6.2 do not echo what they made.
        made = link_codec.decode_link(echoed[0].body) if echoed else self.link(name)
        if made is None:
            raise KernelError(f"{tried}: gone right after it was made", errno.ENODEV)
        if made.mac != mac:  # udev's MAC policy came in between
            self.set_mac(made.index, mac)
            made = replace(made, mac=mac)
        return made

    def label(self, link: Link, alias: str, sysctls: Mapping[str, str]) -> Mapping[str, str]:
        """Give a device its alias, which outlives renaming, and what netlink can set of its sysctls, in one batch.

        Return the other sysctls, which are not written. Raises KernelError.
        """
        index, name = link.index, link.name
        attributes, neighbours, rest = divided(index, name, sysctls)
        body = link_codec.alias(index, alias) + attributes
        steps = [_Step(f"label device {name} {alias!r} and set its sysctls", link_codec.SET_LINK, 0, body)]
        if neighbours:
            steps.append(_Step(f"set the proxy_delay of {name}", SET_NEIGHBOUR_TABLE, 0, neighbours))
        self._all_or_error(steps, [])
        return rest

    def configure_interface(
        self,
        link: Link,
        *,
        mtu: int = 0,
        addresses: Iterable[Prefix] = (),
        neighbours: Iterable[tuple[bytes, bytes]] = (),
        routes: Iterable[tuple[Prefix, RouteSpec]] = (),
    ) -> Link:
        """Bring lo and a device up and give the device its addresses, neighbours and routes, in one batch.

        mtu 0: as it is. neighbours: permanent entries, address and MAC. Routes go last, in their order.
        Return the device as it is now. Raises KernelError: the sentence names the first step refused; what else
        succeeded stays.
        """
        index, name = link.index, link.name
        steps = []
        if mtu:
            steps.append(_Step(f"set the MTU of {name} to {mtu}", link_codec.SET_LINK, 0, link_codec.mtu(index, mtu)))
        steps += [
            _Step("bring lo up", link_codec.NEW_LINK, 0, link_codec.state(1, up=True)),
            _Step(f"bring {name} up", link_codec.NEW_LINK, 0, link_codec.state(index, up=True)),
        ]
        for packed, length in addresses:
            tried = f"add address {unpack(packed)}/{length} to {name}"
            body = link_codec.address(index, packed, length)
            steps.append(_Step(tried, link_codec.NEW_ADDRESS, CREATE | EXCLUSIVE, body))
        for address, hardware in neighbours:
            tried = f"make {unpack(address)} a neighbour of {name}"
            body = link_codec.neighbour(index, address, hardware)
            steps.append(_Step(tried, link_codec.NEW_NEIGHBOUR, CREATE | REPLACE, body))
        self._all_or_error(steps, [(f"put route {prefix} dev {name}", prefix, spec) for prefix, spec in routes])
        return replace(link, up=True, mtu=mtu or link.mtu)

    def retire(self, index: int, group: int, new_name: str = "") -> None:
        """Put a device out of the way in one request: down, and into a group that `delete_group` deletes.

        new_name: what it is called then, if its name is needed before that; more than half of the time it takes, as the
        kernel makes the device's sysctls anew. Nothing happens when it is gone already. Raises KernelError: errno
        EEXIST where the new name is taken.
        """
        body = link_codec.state(index, up=False, name=new_name, group=group)
        tried = f"retire device {index} as {new_name}" if new_name else f"retire device {index}"
        try:
            self._unless_absent(link_codec.SET_LINK, body, tried)
        except KernelError as refused:
            if refused.errno != errno.EBUSY:
                raise
            # Kernels before 6.2 rename no device that is up, and in one request the name comes first.
            self._unless_absent(link_codec.SET_LINK, link_codec.state(index, up=False), f"bring device {index} down")
            self._unless_absent(link_codec.SET_LINK, body, tried)

    def delete_group(self, group: int) -> None:
        """Delete every device of a group. It takes 15 to 35 ms however many they are: call it from a thread.

        Nothing happens when there is none. Raises KernelError.
        """
        self._unless_absent(
            link_codec.DELETE_LINK, link_codec.whole_group(group), f"delete the devices of group {group}"
        )

    def delete(self, index: int) -> None:
        """Delete one device, and with a veth its other end, in 16 to 35 ms. Nothing happens when it is gone already."""
        self._unless_absent(link_codec.DELETE_LINK, link_codec.state(index), f"delete device {index}")

    # Single changes

    def create(self, name: str, kind: str) -> None:
        """Make a device of a kind that needs no further attributes; the kernel loads the kind's module first.

        Raises KernelError: errno EEXIST where the name is taken, if only by the device that came with the module;
        EOPNOTSUPP where this kernel has no such kind.
        """
        self._netlink.request(
            link_codec.NEW_LINK, CREATE | EXCLUSIVE, link_codec.plain(name, kind), f"create {name} of kind {kind}"
        )

    def set_up(self, index: int) -> None:
        self._netlink.request(link_codec.NEW_LINK, 0, link_codec.state(index, up=True), f"bring device {index} up")

    def set_down(self, index: int) -> None:
        self._netlink.request(link_codec.NEW_LINK, 0, link_codec.state(index, up=False), f"take device {index} down")

    def set_mtu(self, index: int, mtu: int) -> None:
        self._netlink.request(
            link_codec.SET_LINK, 0, link_codec.mtu(index, mtu), f"set the MTU of device {index} to {mtu}"
        )

    def set_mac(self, index: int, mac: bytes) -> None:
        tried = f"set the MAC of device {index} to {mac.hex(':')}"
        self._netlink.request(link_codec.SET_LINK, 0, link_codec.mac(index, mac), tried)

    def rename(self, index: int, name: str) -> None:
        self._netlink.request(
            link_codec.SET_LINK, 0, link_codec.state(index, name=name), f"rename device {index} to {name}"
        )

    def add_address(self, index: int, address: bytes, length: int) -> None:
        """Add an address, IPv6 without duplicate detection. Nothing happens when the device has it already."""
        tried = f"add address {unpack(address)}/{length} to device {index}"
        body = link_codec.address(index, address, length)
        self._netlink.request(link_codec.NEW_ADDRESS, CREATE | REPLACE, body, tried)

    def remove_address(self, index: int, address: bytes, length: int) -> None:
        """Remove an address. Nothing happens when it is gone already."""
        tried = f"remove address {unpack(address)}/{length} from device {index}"
        self._unless_absent(link_codec.DELETE_ADDRESS, link_codec.address(index, address, length), tried)

    def put_route(self, prefix: Prefix, spec: RouteSpec) -> None:
        """Put one route, for a namespace that has no Rtnetlink of its own. Raises KernelError."""
        self._all_or_error([], [(f"put route {prefix}", prefix, spec)])

    def _unless_absent(self, kind: int, body: bytes, tried: str) -> None:
        """Request the removal of something; that it is gone already is no error."""
        try:
            self._netlink.request(kind, 0, body, tried)
        except KernelError as refused:
            if refused.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL):
                raise

    def _all_or_error(self, steps: Sequence[_Step], routes: Sequence[tuple[str, Prefix, RouteSpec]]) -> None:
        """Send all in one batch, steps first; raise what went wrong first. What else succeeded stays."""
        first = self._netlink.sequences(len(steps) + len(routes))
        requests = [message(kind, flags, n, body) for n, (_, kind, flags, body) in enumerate(steps, first)]
        requests += [put_message(n, prefix, spec) for n, (_, prefix, spec) in enumerate(routes, first + len(steps))]
        last = bytearray(requests[-1])
        last[6] |= ACK
        failures = self._netlink.batch(b"".join([*requests[:-1], last]), first + len(requests) - 1)
        if failures:
            failed = min(failures)
            tried = [step.tried for step in steps] + [tried for tried, *_ in routes]
            what = tried[failed.sequence - first]
            raise KernelError(f"{what}: {explain(failed.errno, failed.text)}", failed.errno)
