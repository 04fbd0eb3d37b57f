"""What the kernel reports of routes, devices and addresses, as values; and how a datagram of it is read.

Sans-IO: it opens nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from kernel import link_codec
from kernel.link_codec import InterfaceAddress, Link
from kernel.message import HEADER, REPLACE
from kernel.route import DELETE_ROUTE, MAIN_TABLE, NEW_ROUTE, RouteSpec, decode_route
from net.prefix import Prefix


class Refused(NamedTuple):
    """A route that the kernel refused to put or remove. text: its reason and errno, `Nexthop has … (ENETUNREACH)`."""

    prefix: Prefix
    spec: RouteSpec
    errno: int
    text: str


class RouteChanged(NamedTuple):
    """A route of the main table is there, or gone.

    replaced: it took the place of one with the same prefix and metric, for which there is no event. own: the change was
    made by the same Rtnetlink; of these only replacements are reported, not its plain additions and its removals.
    """

    prefix: Prefix
    spec: RouteSpec
    gone: bool = False
    replaced: bool = False
    own: bool = False


class LinkChanged(NamedTuple):
    """A device is there, changed, or gone. When one goes down the kernel drops its IPv4 routes without an event."""

    link: Link
    gone: bool = False


class AddressChanged(NamedTuple):
    address: InterfaceAddress
    gone: bool = False


class EventsLost(NamedTuple):
    """Events came faster than they were read, and some are missing: dump again. Those that follow are complete."""


KernelEvent = RouteChanged | LinkChanged | AddressChanged | EventsLost


def decode_events(datagram: bytes, own: tuple[int, ...], found: list[KernelEvent]) -> None:
    """Append the events in a datagram to `found`. own: the netlink ports whose changes are this process's."""
    offset, end = 0, len(datagram)
    while offset + 16 <= end:
        length, kind, flags, _, port = HEADER.unpack_from(datagram, offset)
        body = datagram[offset + 16 : offset + length]
        offset += (length + 3) & ~3
        if kind in (NEW_ROUTE, DELETE_ROUTE):
            route = decode_route(body)
            if route is not None and route.table == MAIN_TABLE:
                gone, replaced = kind == DELETE_ROUTE, bool(flags & REPLACE)
                found.append(RouteChanged(route.prefix, route.spec, gone, replaced and not gone, port in own))
        elif kind in (link_codec.NEW_LINK, link_codec.DELETE_LINK):
            link = link_codec.decode_link(body)
            if link is not None:
                found.append(LinkChanged(link, kind == link_codec.DELETE_LINK))
        elif kind in (link_codec.NEW_ADDRESS, link_codec.DELETE_ADDRESS):
            address = link_codec.decode_address(body)
            if address is not None:
                found.append(AddressChanged(address, kind == link_codec.DELETE_ADDRESS))
