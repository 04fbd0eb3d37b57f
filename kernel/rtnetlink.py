"""This node's routes: batches out, a dump and events in.

Edge: it carries out and reports, and decides nothing. Everything goes to the main table of the network namespace that
the process was in when it was made, in both families.
"""

from __future__ import annotations

import asyncio
import errno
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from typing import TypeAlias

from kernel.batch_writer import BatchWriter
from kernel.events import EventsLost, KernelEvent, Refused, decode_events
from kernel.link_codec import InterfaceAddress, Link
from kernel.links import read_addresses, read_links
from kernel.message import ACK, Answer, explain
from kernel.netlink import NO_SUCH_TABLE, KernelError, NetlinkSocket
from kernel.route import (
    GET_ROUTE,
    UNICAST,
    DecodedRoute,
    Envelope,
    NextHop,
    RouteSpec,
    decode_route,
    dump_request,
    match_request,
    put_envelope,
    remove_envelope,
    take_routes,
)
from kernel.socket_filter import attach_events_filter
from net.prefix import Prefix, unpack

BATCH = 300  # about two milliseconds inside the kernel
AHEAD = 16  # batches that wait to be sent: what the loop does meanwhile must not keep the kernel waiting
# Each batch counts from 1: a socket carries one at a time, and reads all of its answers.
_SEQUENCES = [struct.pack("=I", number) for number in range(1, BATCH + 1)]
_DATAGRAMS_PER_TURN = 256
_EVENT_BYTES = 1 << 16
# Subscriptions are bits of the address a socket is bound to: links, IPv4 addresses and routes, IPv6 the same.
_GROUPS = sum(1 << group - 1 for group in (1, 5, 7, 9, 11))

Batch: TypeAlias = list[tuple[Prefix, RouteSpec]]


class Rtnetlink:
    """The routes, links and addresses of this network namespace. Subscribed to changes from the moment it exists."""

    def __init__(self, *, receive_buffer: int = 8 << 20) -> None:
        """receive_buffer: bytes of events the kernel keeps for us; a user namespace may get less than it asks for.

        Raises OSError: netlink sockets are not to be had here.
        """
        self._requests = NetlinkSocket()
        self._dumps = NetlinkSocket()
        self._bulk = BatchWriter()
        # Each route of what is not read yet may be refused; the batch that is handed over last counts, too.
        self._ahead = max(0, min(AHEAD, self._bulk.room // BATCH - 1))
        self._one_at_a_time = asyncio.Lock()
        self._own = (self._requests.port, self._bulk.port)
        self._events = NetlinkSocket(groups=_GROUPS, receive_buffer=receive_buffer)
        self._events.socket.setblocking(False)
        attach_events_filter(self._events.socket, self._own)
        self._dumping = asyncio.Lock()
        self._give_way: Callable[[], Awaitable[None]] | None = None

    def close(self) -> None:
        for netlink in (self._requests, self._dumps, self._bulk, self._events):
            netlink.close()

    def give_way_to(self, others: Callable[[], Awaitable[None]]) -> None:
        """Read events only when this returns, from now on: what is waited for goes first."""
        self._give_way = others

    async def dump(self, protocols: Collection[int] | None = None) -> list[tuple[Prefix, RouteSpec]]:
        """Return the main table's routes, both families; with `protocols`, only those with one of these numbers.

        Not a snapshot of one moment: apply the events that came meanwhile on top. Raises KernelError.
        """
        found: Batch = []
        await self.read(found.extend, protocols)
        return found

    async def read(self, take: Callable[[Batch], None], protocols: Collection[int] | None = None) -> None:
        """Give `take` the same, a buffer of the dump at a time, with a moment for other work after each."""
        async with self._dumping:
            for size in (4, 16):
                for protocol in [0] if protocols is None else sorted(protocols):
                    await self._dump_into(take, size, protocol)

    async def _dump_into(self, take: Callable[[Batch], None], size: int, protocol: int) -> None:
        tried = f"read the IPv{'4' if size == 4 else '6'} routes"
        try:
            for part in self._dumps.dump_values(GET_ROUTE, dump_request(size, protocol), tried, take_routes):
                take(part)
                await asyncio.sleep(0)
        except KernelError as refused:
            if refused.errno not in NO_SUCH_TABLE:
                raise

    async def apply(
        self, put: Iterable[tuple[Prefix, RouteSpec]], remove: Iterable[tuple[Prefix, RouteSpec]] = ()
    ) -> list[Refused]:
        """Write routes, then remove routes; return those the kernel refused. The others are in place by then.

        A put replaces whatever has its prefix and metric. A remove takes only what has its protocol and metric, and is
        not refused when that is gone already. Many are written by a thread: the loop goes on, and the next ones are
        taken and encoded, meanwhile. When cancelled, batches not yet begun are left out.
        """
        refused = await self._write(put, put_envelope, ())
        return refused + await self._write(remove, remove_envelope, (errno.ESRCH,))

    async def _write(
        self,
        routes: Iterable[tuple[Prefix, RouteSpec]],
        envelope_of: Callable[[RouteSpec, int, int], Envelope],
        ignored_errnos: tuple[int, ...],
    ) -> list[Refused]:
        batches = _batches(routes)
        if not (first := next(batches, [])):
            return []
        if not (second := next(batches, [])):  # a pod's few: no detour through a thread
            return _refused(first, self._requests.batch(_encode(first, envelope_of), len(first)), ignored_errnos)
        refused: list[Refused] = []
        under_way: deque[tuple[Batch, asyncio.Future[list[Answer]]]] = deque()
        async with self._one_at_a_time:
            try:
                for batch in chain((first, second), batches):
                    under_way.append((batch, self._bulk.submit(_encode(batch, envelope_of), len(batch))))
                    if len(under_way) > self._ahead:
                        written, answered = under_way.popleft()
                        refused += _refused(written, await answered, ignored_errnos)
                for written, answered in under_way:
                    refused += _refused(written, await answered, ignored_errnos)
            except BaseException:
                self._bulk.give_up()  # nothing may be written after this
                raise
        return refused

    def resolve(self, address: bytes, avoid: Collection[int] = ()) -> NextHop | None:
        """Return how this node reaches an address: the device and the gateway, which is the address itself on link.

        None: no route, only a blackhole, an address of this node, or a route whose protocol is in `avoid`.
        """
        route = self._match(address)
        if route is None or route.spec.kind != UNICAST or route.spec.protocol in avoid or not route.spec.hops:
            return None
        hop = route.spec.hops[0]
        return NextHop(hop.device, hop.gateway or address, hop.onlink)

    def match(self, prefix: Prefix) -> tuple[Prefix, RouteSpec] | None:
        """Return the route that a packet of this node's takes to the first address of a prefix, as its table has it.

        That is the longest match, and of routes of one prefix the one with the lowest metric. None: there is none, or
        it is one that drops packets: of those IPv4 says no more.
        """
        route = self._match(prefix.packed)
        return None if route is None else (route.prefix, route.spec)

    def _match(self, address: bytes) -> DecodedRoute | None:
        try:
            answers = self._requests.request(
                GET_ROUTE, 0, match_request(address), f"look up the route to {unpack(address)}"
            )
        except KernelError:
            return None
        return decode_route(answers[0].body) if answers else None

    def links(self) -> dict[int, Link]:
        """Return every device by index, in the kernel's order. Raises KernelError."""
        return read_links(self._requests)

    def addresses(self) -> list[InterfaceAddress]:
        """Return every address of every device, both families. Raises KernelError."""
        return read_addresses(self._requests)

    async def events(self) -> AsyncIterator[list[KernelEvent]]:
        """Yield what changed since this object was made, as many events at a time as were waiting.

        Read it from one task only. It ends when the object is closed.
        """
        while self._events.socket.fileno() >= 0:
            await _until_readable(self._events.socket.fileno())
            if self._give_way is not None:
                await self._give_way()
            batch = self._read_events()
            if batch:
                yield batch

    def _read_events(self) -> list[KernelEvent]:
        found: list[KernelEvent] = []
        own = self._own
        receive = self._events.socket.recv
        for _ in range(_DATAGRAMS_PER_TURN):  # the rest makes the socket readable again at once
            try:
                datagram = receive(_EVENT_BYTES)
            except BlockingIOError:
                break
            except OSError as failed:
                if failed.errno != errno.ENOBUFS:
                    raise
                found.append(EventsLost())
                continue
            decode_events(datagram, own, found)
        return found


async def _until_readable(descriptor: int) -> None:
    """Return when there is something to read. The loop looks at the descriptor only meanwhile."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _batches(routes: Iterable[tuple[Prefix, RouteSpec]]) -> Iterator[Batch]:
    left = iter(routes)
    while batch := list(islice(left, BATCH)):
        yield batch


def _refused(batch: Batch, failures: Iterable[Answer], ignored_errnos: tuple[int, ...]) -> list[Refused]:
    """Return what the kernel refused of a batch; an errno in `ignored_errnos` is no refusal."""
    return [
        Refused(*batch[failure.sequence - 1], failure.errno, explain(failure.errno, failure.text))
        for failure in failures
        if failure.errno not in ignored_errnos
    ]


def _encode(batch: Iterable[tuple[Prefix, RouteSpec]], envelope_of: Callable[[RouteSpec, int, int], Envelope]) -> bytes:
    """Return the messages of one batch, numbered from 1; the last one asks for an acknowledgement.

    One list of pieces and one join: a message's own bytes are never made. Specs are distinguished by identity, which is
    faster than by value; the batch keeps them alive meanwhile.
    """
    pieces: list[bytes] = []
    envelopes: dict[tuple[int, int, int], Envelope] = {}
    for (prefix, spec), sequence in zip(batch, _SEQUENCES, strict=False):
        packed, length = prefix
        key = (id(spec), length, len(packed))
        envelope = envelopes.get(key)
        if envelope is None:
            envelope = envelopes[key] = envelope_of(spec, len(packed), length)
        start, middle, rest = envelope
        pieces += (start, sequence, middle, packed, rest)
    if pieces:
        closing = bytearray(pieces[-5])
        closing[6] |= ACK
        pieces[-5] = bytes(closing)
    return b"".join(pieces)
