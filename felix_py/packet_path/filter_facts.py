"""Which packets between two ends, and of which BGP sessions, do this node's packet filters drop?

Pure: chains and routes are handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from felix_py.status_model import DeviceFacts, Filtered, FilteredTraffic
from net.ip_route import IpRoute
from net.packet_filter import FORWARDED, RECEIVED, SENT, TCP, FilterOutcome, Hook, Packet, PacketFilters
from net.prefix import pack, unpack

IPIP_KIND, IPIP_PROTOCOL = "ipip", 4
BGP_PORT = 179
_EPHEMERAL = 40000  # some port that a caller may have


class Way(Struct, frozen=True):
    """A node's part of the way between two addresses. routes: those to each. pods: devices of those that are pods here.

    devices: by name.
    """

    filters: PacketFilters
    routes: Mapping[str, IpRoute | None]
    pods: Mapping[str, str]
    devices: Mapping[str, DeviceFacts]


def filtered_between(way: Way, source: str, destination: str, *, is_answer: bool) -> Iterator[Filtered]:
    """Yield the packets from source to destination that are dropped here, or may be; of a tunnel its own too."""
    there, back = way.routes.get(destination), way.routes.get(source)
    if there is None or not there.forwards:
        return
    hooks, packet = _passing(way, source, destination, is_answer=is_answer)
    yield from _found(way.filters, FilteredTraffic.ENDS, source, destination, hooks, packet)
    for route, hooks in ((there, SENT), (back, RECEIVED)):
        device = way.devices.get(route.device) if route else None
        if route and device and device.kind == IPIP_KIND and route.gateway:
            sent = hooks is SENT
            gateway, own = pack(route.gateway), _own_address(way, len(pack(route.gateway)))
            ends = (own, gateway) if sent else (gateway, own)
            outer = Packet(*ends, came_by="" if sent else None, leaves_by=None if sent else "", protocol=IPIP_PROTOCOL)
            yield from _found(way.filters, FilteredTraffic.TUNNEL, source, destination, hooks, outer)


def redirected_between(way: Way, source: str, destination: str) -> Iterator[Filtered]:
    """Yield what gives packets that begin a connection another destination here, before any route is looked at."""
    hooks, packet = _passing(way, source, destination, is_answer=False)
    outcome = way.filters.redirected(Hook.OUTPUT if hooks is SENT else Hook.PREROUTING, packet)
    if outcome != FilterOutcome():
        yield Filtered(source, destination, FilteredTraffic.ENDS, outcome)


def _passing(way: Way, source: str, destination: str, *, is_answer: bool) -> tuple[tuple[Hook, ...], Packet]:
    """Return the hooks that packets from source to destination pass here, and what chains see of them."""
    there, back = way.routes.get(destination), way.routes.get(source)
    came_by, leaves_by = device_towards(way, source), device_towards(way, destination)
    packet = Packet(pack(source), pack(destination), came_by, leaves_by, is_answer=is_answer)
    if there is not None and there.kind == "local":
        return RECEIVED, replace(packet, leaves_by="")
    if back is not None and back.kind == "local":
        return SENT, replace(packet, came_by="")
    return FORWARDED, packet


def device_towards(way: Way, address: str) -> str | None:
    """Return the device that leads to an address; None where several do, or none."""
    if address in way.pods:
        return way.pods[address]
    route = way.routes.get(address)
    return route.device if route and len({hop.device for hop in route.hops}) == 1 else None


def _own_address(way: Way, size: int) -> bytes:
    """Return an address of this node that tunnel packets may come from: which one, filters rarely ask."""
    found = (pack(text) for one in way.devices.values() if one.kind != IPIP_KIND for text in one.addresses)
    return next((address for address in found if len(address) == size), bytes(size))


def filtered_in_pod(
    filters: PacketFilters, pod: tuple[str, str], other: str, leaves_by: str | None, *, begins: bool
) -> Iterator[Filtered]:
    """Yield what a pod's own packet filters drop of what it sends to another address, and of what comes from there.

    pod: its address and its device. leaves_by: the device of its route to the other. begins: it sends the first packet.
    """
    address, device = pod
    sent = Packet(pack(address), pack(other), "", leaves_by, is_answer=not begins)
    received = Packet(pack(other), pack(address), device, "", is_answer=begins)
    yield from _found(filters, FilteredTraffic.ENDS, address, other, SENT, sent)
    yield from _found(filters, FilteredTraffic.ENDS, other, address, RECEIVED, received)


def _found(
    filters: PacketFilters,
    traffic: FilteredTraffic,
    source: str,
    destination: str,
    hooks: Iterable[Hook],
    packet: Packet,
) -> Iterator[Filtered]:
    outcome = filters.outcome(hooks, packet)
    if outcome != FilterOutcome():
        yield Filtered(source, destination, traffic, outcome)


class CalledSession(NamedTuple):
    """A BGP session by who calls whom. port: the one that is called. either: the other side may call as well.

    device: the one towards the peer; None = that is not known.
    """

    own: bytes
    peer: bytes
    passive: bool
    port: int = BGP_PORT
    either: bool = False
    device: str | None = None


def filtered_sessions(filters: PacketFilters, sessions: Iterable[CalledSession]) -> Iterator[Filtered]:
    """Yield the BGP sessions that are cut off; where the other side may call as well, both calls must be dropped."""
    for session in sessions:
        calls = [_call(filters, session, by_us=not session.passive)]
        if session.either:
            calls.append(_call(filters, session, by_us=session.passive))
        hits = [call.dropped for call in calls if call.dropped]
        if len(hits) == len(calls):
            outcome = FilterOutcome(hits[0])
        else:
            doubts = [*(replace(hit, sure=False) for hit in hits), *(doubt for call in calls for doubt in call.doubts)]
            outcome = FilterOutcome(doubts=tuple(dict.fromkeys(doubts)))
        if outcome != FilterOutcome():
            yield Filtered(unpack(session.own), unpack(session.peer), FilteredTraffic.BGP, outcome, session.port)


def _call(filters: PacketFilters, session: CalledSession, *, by_us: bool) -> FilterOutcome:
    """Return what becomes of a call here: of its first packet and of the answer, one is sent, the other received."""
    caller, called = (session.own, session.peer) if by_us else (session.peer, session.own)
    by = session.device
    first = Packet(caller, called, by, by, TCP, _EPHEMERAL, session.port)
    answer = Packet(called, caller, by, by, TCP, session.port, _EPHEMERAL, is_answer=True)
    hooks = (SENT, RECEIVED) if by_us else (RECEIVED, SENT)
    outcomes = [filters.outcome(at, packet) for at, packet in zip(hooks, (first, answer), strict=True)]
    dropped = next((one.dropped for one in outcomes if one.dropped), None)
    return FilterOutcome(dropped, doubts=tuple(doubt for one in outcomes for doubt in one.doubts))


def filtered_forwarding(
    filters: PacketFilters, pod: tuple[bytes, str], other: tuple[bytes, str | None]
) -> Iterator[Filtered]:
    """Yield what is dropped between a pod of this node and another address: each with its device, None = any."""
    (inner, device), (outer, uplink) = pod, other
    for source, destination, came_by, leaves_by in ((inner, outer, device, uplink), (outer, inner, uplink, device)):
        outcome = filters.outcome(FORWARDED, Packet(source, destination, came_by, leaves_by))
        if outcome.dropped:
            yield Filtered(unpack(source), unpack(destination), FilteredTraffic.ENDS, outcome)
