"""Routes as values, and as the bytes of rtnetlink's route messages.

Sans-IO: it opens nothing. Speed matters here more than elsewhere in this package, so what routes share is computed
once: a `RouteSpec` is one object for all prefixes that use it, and its bytes (everything behind the destination) are
cached, in both directions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from kernel.message import CREATE, DONE, ERROR, HEADER, REPLACE, Message, attribute, attributes, nested, number
from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix, unpack

NEW_ROUTE, DELETE_ROUTE, GET_ROUTE = 24, 25, 26
MAIN_TABLE = 254
LINK_SCOPE, ANY_SCOPE = 253, 255
FIB_MATCH = 0x2000  # RTM_F_FIB_MATCH: answer with the table's entry, not with the resolved destination

_LOOKUP_TABLE = 0x1000  # RTM_F_LOOKUP_TABLE
_REQUEST = 0x1
_INET, _INET6 = 2, 10
_CLONED = 0x200  # a cached exception of IPv6 (redirect, spec MTU), not an entry of the table
_ONLINK = 0x4
_DESTINATION, _DEVICE, _GATEWAY, _PRIORITY, _SOURCE, _METRICS, _MULTIPATH = 1, 4, 5, 6, 7, 8, 9
_FROM, _IN_DEVICE, _TABLE, _VIA = 2, 3, 15, 18
_METRIC_MTU = 2

_ROUTE = struct.Struct("=BBBBBBBBI")  # family, length, source length, tos, table, protocol, scope, type, flags
_HOP = struct.Struct("=HBBi")  # length, flags, weight - 1, device
_SEQUENCE = struct.Struct("=I")
_CACHED_SPECS = 1 << 10
"""Each takes 1 kB, and every pod that comes brings its own. With more next hops than that a route costs 4 µs more."""


class RouteKind(IntEnum):
    """What the kernel does with a packet for this destination (RTN_*)."""

    UNSPECIFIED = 0
    UNICAST = 1
    LOCAL = 2
    BROADCAST = 3
    ANYCAST = 4
    MULTICAST = 5
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9
    NAT = 10
    EXTERNAL = 11


UNICAST, BLACKHOLE = RouteKind.UNICAST, RouteKind.BLACKHOLE


class NextHop(NamedTuple):
    """Where a packet goes next: out of a device (index 0: the kernel finds it), to a gateway (b"": on link).

    onlink: take the gateway as reachable on the device though no route covers it. weight counts only beside others.
    """

    device: int
    gateway: bytes = b""
    onlink: bool = False
    weight: int = 1


class RouteSpec(NamedTuple):
    """Everything of a route but its destination. Make one and share it; do not make one per route.

    metric: 0 is IPv4's own default; for IPv6 it reads back as 1024. scope: 253 for IPv4 routes without a gateway; IPv6
    has none and reads back 0. mtu 0: the device's. source: the address to send from, b"" = the kernel chooses.
    """

    protocol: int
    metric: int
    kind: RouteKind = UNICAST
    hops: tuple[NextHop, ...] = ()
    scope: int = 0
    mtu: int = 0
    source: bytes = b""


class Envelope(NamedTuple):
    """The bytes that all messages for one spec, prefix length and verb share. Between them go the sequence number
    (behind `start`) and the address (behind `middle`)."""

    start: bytes  # length, type, flags
    middle: bytes  # port, the route header, and the head of the destination
    rest: bytes  # the attributes behind the destination

    def around(self, sequence: int, address: bytes) -> bytes:
        return self.start + _SEQUENCE.pack(sequence) + self.middle + address + self.rest


def put_message(sequence: int, prefix: Prefix, spec: RouteSpec) -> bytes:
    """Return the message that puts a route: added, or in one step in place of what has its prefix and metric."""
    return put_envelope(spec, len(prefix.packed), prefix.length).around(sequence, prefix.packed)


@lru_cache(_CACHED_SPECS)
def put_envelope(spec: RouteSpec, size: int, length: int) -> Envelope:
    """Return what surrounds the address (of 4 or 16 bytes) of a prefix of this length in the message that puts it."""
    rest = number(_PRIORITY, spec.metric) if spec.metric else b""
    flags = 0
    if spec.kind == UNICAST and len(spec.hops) > 1:
        rest += nested(_MULTIPATH, *(_hop_bytes(hop, size) for hop in spec.hops))
    elif spec.kind == UNICAST and spec.hops:
        hop = spec.hops[0]
        rest += _gateway(hop.gateway, size)
        rest += number(_DEVICE, hop.device) if hop.device else b""
        flags = _ONLINK if hop.onlink else 0
    if spec.mtu:
        rest += nested(_METRICS, number(_METRIC_MTU, spec.mtu))
    if spec.source:
        rest += attribute(_SOURCE, spec.source)
    scope = spec.scope if size == 4 else 0
    family = _INET if size == 4 else _INET6
    header = _ROUTE.pack(family, length, 0, 0, MAIN_TABLE, spec.protocol, scope, spec.kind, flags)
    return _envelope(NEW_ROUTE, CREATE | REPLACE, size, header, rest)


def remove_envelope(spec: RouteSpec, size: int, length: int) -> Envelope:
    """Return the same for the removal of the route with the spec's protocol and metric, whatever its hops.

    Raises ValueError: protocol 0, which would remove a route of any protocol."""
    return _removal(spec.protocol, spec.metric, size, length)


@lru_cache(_CACHED_SPECS)
def _removal(protocol: int, metric: int, size: int, length: int) -> Envelope:
    if protocol == 0:
        raise ValueError("remove a route of protocol 0: the kernel takes that for any protocol")
    family = _INET if size == 4 else _INET6
    header = _ROUTE.pack(family, length, 0, 0, MAIN_TABLE, protocol, ANY_SCOPE, RouteKind.UNSPECIFIED, 0)
    return _envelope(DELETE_ROUTE, 0, size, header, number(_PRIORITY, metric) if metric else b"")


def _envelope(message: int, verb: int, size: int, header: bytes, rest: bytes) -> Envelope:
    destination = struct.pack("=HH", 4 + size, _DESTINATION)
    start = struct.pack("=IHH", 16 + len(header) + len(destination) + size + len(rest), message, _REQUEST | verb)
    return Envelope(start, bytes(4) + header + destination, rest)


def _hop_bytes(hop: NextHop, size: int) -> bytes:
    gateway = _gateway(hop.gateway, size)
    return _HOP.pack(8 + len(gateway), _ONLINK if hop.onlink else 0, hop.weight - 1, hop.device) + gateway


def _gateway(gateway: bytes, size: int) -> bytes:
    if not gateway:
        return b""
    if len(gateway) == size:
        return attribute(_GATEWAY, gateway)
    return attribute(_VIA, struct.pack("=H", _INET6 if len(gateway) == 16 else _INET) + gateway)


class DecodedRoute(NamedTuple):
    """One route as the kernel reports it."""

    prefix: Prefix
    spec: RouteSpec
    table: int


_ANYWHERE = {_INET: Prefix(bytes(4), 0), _INET6: Prefix(bytes(16), 0)}
_IN_MAIN = number(_TABLE, MAIN_TABLE)
_TO_4, _TO_6 = _IN_MAIN + b"\x08\0\x01\0", _IN_MAIN + b"\x14\0\x01\0"
_read: dict[bytes, RouteSpec] = {}  # the bytes of a route without its destination, to their meaning
_known: dict[RouteSpec, RouteSpec] = {}  # one object for equal specs, whatever bytes (flags, cache ages) they came in


def decode_route(body: bytes) -> DecodedRoute | None:
    """Return the route in the body of a route message; None for other families and for cached exceptions.

    Flags that come and go with the carrier (dead, linkdown) are not part of the value.
    """
    start = body[12:24]
    if start == _TO_4:
        prefix, end = Prefix(body[24:28], body[1]), 28
    elif start == _TO_6:
        prefix, end = Prefix(body[24:40], body[1]), 40
    else:
        return _decode_slowly(body)
    key = body[:1] + body[4:12] + body[end:]
    spec = _read.get(key)
    if spec is not None:
        return DecodedRoute(prefix, spec, MAIN_TABLE)
    found = _decode_slowly(body)
    if found is not None:
        if len(_read) >= _CACHED_SPECS:
            _read.clear()
            _known.clear()
        spec = _known.setdefault(found.spec, found.spec)
        _read[key] = spec
        found = found._replace(spec=spec)
    return found


def take_routes(datagram: bytes, sequence: int, found: list[tuple[Prefix, RouteSpec]]) -> Message | None:
    """Append the main table's routes of a dump to `found`; return the message that ends it, if it is there.

    The same as `take_messages` and `decode_route`, in half of the time, which is the price of reading a full table: of
    an IPv4 route whose other bytes are known no message is made.
    """
    offset, end = 0, len(datagram)
    header, known, add = HEADER.unpack_from, _read.get, found.append
    while offset + 16 <= end:
        length, kind, flags, answers, port = header(datagram, offset)
        if length < 16:
            break
        here, offset = offset, offset + ((length + 3) & ~3)
        if answers != sequence:
            continue
        if kind in (ERROR, DONE):
            return Message(kind, flags, answers, datagram[here + 16 : here + length], port)
        if datagram[here + 28 : here + 40] == _TO_4:
            rest = datagram[here + 44 : here + length]
            spec = known(datagram[here + 16 : here + 17] + datagram[here + 20 : here + 28] + rest)
            if spec is not None:
                add((Prefix(datagram[here + 40 : here + 44], datagram[here + 17]), spec))
                continue
        route = decode_route(datagram[here + 16 : here + length])
        if route is not None and route.table == MAIN_TABLE:
            add((route.prefix, route.spec))
    return None


def decode_with_device(body: bytes) -> DecodedRoute | None:
    """Return the same, with its device for a route to this host itself. No table that is compared has such routes."""
    found = decode_route(body)
    if found is None or found.spec.kind not in _LEADS_HERE:
        return found
    device = int.from_bytes(dict(attributes(body, 12)).get(_DEVICE, b""), "little")
    return found._replace(spec=found.spec._replace(hops=(NextHop(device),))) if device else found


_LEADS_HERE = (RouteKind.LOCAL, RouteKind.BROADCAST, RouteKind.ANYCAST, RouteKind.MULTICAST)


def _decode_slowly(body: bytes) -> DecodedRoute | None:
    """Read a route message attribute by attribute."""
    if len(body) < 12:
        return None
    family, length, _, _, table, protocol, scope, kind, flags = _ROUTE.unpack_from(body)
    if family not in _ANYWHERE or flags & _CLONED:
        return None
    prefix, metric, mtu, device = _ANYWHERE[family], 0, 0, 0
    gateway = source = b""
    hops: tuple[NextHop, ...] = ()
    for attribute_kind, value in attributes(body, 12):
        match attribute_kind:
            case 1:  # _DESTINATION
                prefix = Prefix(value, length)
            case 4:  # _DEVICE
                device = int.from_bytes(value, "little")
            case 5:  # _GATEWAY
                gateway = value
            case 6:  # _PRIORITY
                metric = int.from_bytes(value, "little")
            case 7:  # _SOURCE
                source = value
            case 8:  # _METRICS
                mtu = int.from_bytes(dict(attributes(value)).get(_METRIC_MTU, b""), "little")
            case 9:  # _MULTIPATH
                hops = tuple(_hops(value))
            case 15:  # _TABLE
                table = int.from_bytes(value, "little")
            case 18:  # _VIA
                gateway = value[2:]
    if not hops and (device or gateway):
        hops = (NextHop(device, gateway, bool(flags & _ONLINK)),)
    if kind != UNICAST:
        hops = ()  # IPv6 blackholes read back with device "lo", whatever was written
    # A kind that only later kernels know is still a route, which belongs to some program.
    known = RouteKind(kind) if kind <= RouteKind.EXTERNAL else RouteKind.UNSPECIFIED
    return DecodedRoute(prefix, RouteSpec(protocol, metric, known, hops, scope, mtu, source), table)


def _hops(nested_hops: bytes) -> Iterator[NextHop]:
    offset = 0
    while offset + 8 <= len(nested_hops):
        length, flags, weight, device = _HOP.unpack_from(nested_hops, offset)
        if length < 8:
            return
        gateway = b""
        for kind, value in attributes(nested_hops[offset : offset + length], 8):
            if kind == _GATEWAY:
                gateway = value
            elif kind == _VIA:
                gateway = value[2:]
        yield NextHop(device, gateway, bool(flags & _ONLINK), weight + 1)
        offset += (length + 3) & ~3


def dump_request(size: int, protocol: int = 0, table: int = MAIN_TABLE) -> bytes:
    """Return the body that asks for a family's routes (4 or 16: bytes of an address), of one protocol or of all (0)."""
    return _ROUTE.pack(_INET if size == 4 else _INET6, 0, 0, 0, table, protocol, 0, 0, 0)


def match_request(address: bytes, source: bytes = b"", device: int = 0) -> bytes:
    """Return the body that asks which route a packet to this address would take, sent from `source` if it is given.

    device: the index of the one by which it comes in; 0: it is this node's own.
    """
    family = _INET if len(address) == 4 else _INET6
    # IPv4 says main, whatever table the answer is from, unless it is asked; IPv6 refuses to be asked, and says it.
    flags = FIB_MATCH | (_LOOKUP_TABLE if device and family == _INET else 0)
    body = _ROUTE.pack(family, 8 * len(address), 8 * len(source), 0, 0, 0, 0, 0, flags)
    body += attribute(_DESTINATION, address) + (attribute(_FROM, source) if source else b"")
    return body + (number(_IN_DEVICE, device) if device else b"")


def ip_route(prefix: Prefix, spec: RouteSpec, names: Mapping[int, str]) -> IpRoute:
    """Return a route as it is shown. names: devices by index; an unknown one is shown as `if7`."""
    return IpRoute(
        prefix,
        spec.kind.name.lower(),
        tuple(_ip_hop(hop, names) for hop in spec.hops),
        spec.protocol,
        spec.metric,
        link_scope=spec.scope == LINK_SCOPE and prefix.bits == 32,
        source=unpack(spec.source) if spec.source else "",
        mtu=spec.mtu,
    )


def _ip_hop(hop: NextHop, names: Mapping[int, str]) -> IpHop:
    device = names.get(hop.device, f"if{hop.device}") if hop.device else ""
    return IpHop(device, unpack(hop.gateway) if hop.gateway else "", hop.onlink, hop.weight)


def ip_route_text(prefix: Prefix, spec: RouteSpec, names: Mapping[int, str]) -> str:
    """Return a route as `ip route add` takes it. names: devices by index; an unknown one is shown as `if7`."""
    return str(ip_route(prefix, spec, names))
