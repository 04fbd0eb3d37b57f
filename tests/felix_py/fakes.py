"""Small honest stand-ins for the agent's edges (felix_py/edges.py): each is the state that the real thing would have.

`deeds` is one list that several fakes may share: what was done, in the order in which it was done.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from bgp.client import SidecarEvent
from bgp.speaker import Attributes, Speaker
from datastore.errors import Unavailable
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Interest, Unreadable, WatchEvent, interest_in
from kernel.events import KernelEvent, LinkChanged, Refused, RouteChanged
from kernel.link_codec import InterfaceAddress, Link
from kernel.netlink import KernelError
from kernel.nftables_table import OwnTable
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.datastore.memory_store import MemoryStore

Routes = Sequence[tuple[Prefix, RouteSpec]]
A_BUFFER = 500  # routes
R = TypeVar("R", bound=Resource)

ETH0 = Link(2, "eth0", up=True, carrier=True, mtu=1500, mac=bytes(6))
ADDRESS = InterfaceAddress(2, pack("192.0.2.1"), 24, 2, 0)


class FakeKernel:
    """Routes by prefix and metric, replaced in place; devices; and the events that a change by others makes."""

    def __init__(
        self,
        routes: Iterable[tuple[Prefix, RouteSpec]] = (),
        *,
        deeds: list[str] | None = None,
        links: Collection[Link] = (),
    ) -> None:
        self.routes = {(prefix, spec.metric): spec for prefix, spec in routes}
        self.deeds = [] if deeds is None else deeds
        self.devices = {link.index: link for link in links or (ETH0,)}
        self.device_addresses = [ADDRESS]
        self.refused: dict[Prefix, str] = {}  # what it does not take, and why
        self.reached: dict[bytes, NextHop] = {}
        self.batches: list[tuple[Routes, Routes]] = []
        self.dumps = self.listings = self.matched = 0
        self.open = asyncio.Event()  # cleared: a batch hangs before it is carried out
        self.open.set()
        self.failure: KernelError | None = None
        self.link_failures: list[KernelError] = []  # one for each time that reading the devices fails
        self._events: asyncio.Queue[list[KernelEvent]] = asyncio.Queue()

    async def dump(self) -> Routes:
        self.dumps += 1
        return [(prefix, spec) for (prefix, _), spec in self.routes.items()]

    def match(self, prefix: Prefix) -> tuple[Prefix, RouteSpec] | None:
        self.matched += 1
        first = Prefix.host(prefix.packed)
        found = [(held, spec) for (held, _), spec in self.routes.items() if held.contains(first)]
        longest = max(found, key=lambda route: (route[0].length, -route[1].metric), default=None)
        return None if longest is None or longest[1].kind == BLACKHOLE else longest

    async def read(self, take: Callable[[Routes], None]) -> None:
        routes = await self.dump()
        for start in range(0, len(routes), A_BUFFER):
            take(routes[start : start + A_BUFFER])
            await asyncio.sleep(0)

    async def apply(
        self, put: Iterable[tuple[Prefix, RouteSpec]], remove: Iterable[tuple[Prefix, RouteSpec]] = ()
    ) -> list[Refused]:
        refused = []
        puts = await self._taken(put)
        for prefix, spec in puts:
            if prefix in self.refused:
                refused.append(Refused(prefix, spec, errno.ENETUNREACH, self.refused[prefix]))
            else:
                self.routes[prefix, spec.metric] = spec
                self.deeds.append(f"put {prefix}")
        removals = await self._taken(remove)
        for prefix, spec in removals:
            held = self.routes.get((prefix, spec.metric))
            if held is not None and held.protocol == spec.protocol:
                del self.routes[prefix, spec.metric]
            self.deeds.append(f"remove {prefix}")
        if puts or removals:
            self.batches.append((puts, removals))
        return refused

    async def _taken(self, routes: Iterable[tuple[Prefix, RouteSpec]]) -> Routes:
        taken = list(routes)
        if taken:
            await self.open.wait()
            if self.failure is not None:
                raise self.failure
        return taken

    async def events(self) -> AsyncIterator[list[KernelEvent]]:
        while True:
            yield await self._events.get()

    def resolve(self, address: bytes, avoid: Collection[int] = ()) -> NextHop | None:
        return self.reached.get(address)

    def links(self) -> Mapping[int, Link]:
        self.listings += 1
        if self.link_failures:
            raise self.link_failures.pop()
        return dict(self.devices)

    def addresses(self) -> Iterable[InterfaceAddress]:
        return list(self.device_addresses)

    def held(self, prefix: Prefix, metric: int = 1030) -> RouteSpec | None:
        return self.routes.get((prefix, metric))

    # What others do

    def report(self, *events: KernelEvent) -> None:
        self._events.put_nowait(list(events))

    def foreign_put(self, prefix: Prefix, spec: RouteSpec) -> RouteChanged:
        """Another program puts a route; return the event that the kernel reports."""
        replaced = (prefix, spec.metric) in self.routes
        self.routes[prefix, spec.metric] = spec
        return RouteChanged(prefix, spec, replaced=replaced)

    def foreign_remove(self, prefix: Prefix, metric: int = 1030) -> RouteChanged:
        return RouteChanged(prefix, self.routes.pop((prefix, metric)), gone=True)

    def set_link(self, link: Link, *, gone: bool = False) -> LinkChanged:
        """A device is there, changed or gone; routes through one that is down go without an event."""
        if gone:
            self.devices.pop(link.index, None)
        else:
            self.devices[link.index] = link
        if gone or not link.up:
            lost = [key for key, spec in self.routes.items() if any(hop.device == link.index for hop in spec.hops)]
            for key in lost:
                del self.routes[key]
        return LinkChanged(link, gone)


class FakePeers:
    """A sidecar that takes every statement, and reports what a test makes it report."""

    def __init__(self, deeds: list[str] | None = None) -> None:
        self.deeds = [] if deeds is None else deeds
        self.speaker: Speaker | None = None
        self.announced: Mapping[Prefix, Attributes] = {}
        self.runs = 0
        self.held: Callable[[], Iterable[Prefix]] = tuple
        self._events: asyncio.Queue[SidecarEvent] = asyncio.Queue()

    async def configure(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self.deeds.append("configure")

    async def announce(self, rib_out: Mapping[Prefix, Attributes]) -> None:
        self.deeds += [f"announce {prefix}" for prefix in rib_out.keys() - self.announced.keys()]
        self.deeds += [f"withdraw {prefix}" for prefix in self.announced.keys() - rib_out.keys()]
        self.announced = dict(rib_out)

    async def events(self, held: Callable[[], Iterable[Prefix]]) -> AsyncIterator[SidecarEvent]:
        self.held = held
        while True:
            yield await self._events.get()

    async def run(self) -> None:
        self.runs += 1
        await asyncio.Event().wait()

    def report(self, *events: SidecarEvent) -> None:
        for event in events:
            self._events.put_nowait(event)


class FakePacketTable:
    """Remembers what it was last asked to hold."""

    def __init__(self) -> None:
        self.stated: list[OwnTable | None] = []
        self.problem = ""

    def apply(self, table: OwnTable | None) -> None:
        self.stated.append(table)

    async def run(self) -> None:
        await asyncio.Event().wait()


class FakeTunnelDevice:
    """Remembers the MTU that it was last asked for; None: it was never asked."""

    def __init__(self, deeds: list[str] | None = None) -> None:
        self.deeds = [] if deeds is None else deeds
        self.mtu: int | None = None
        self.address: str | None = None
        self.problem = ""

    def apply(self, mtu: int) -> None:
        self.mtu = mtu
        self.deeds.append(f"tunnel {mtu}")

    async def run(self) -> None:
        await asyncio.Event().wait()


class FakeStore(MemoryStore):
    """A datastore that one agent watches: what a test puts into it is reported at once."""

    def __init__(self, *resources: Resource) -> None:
        super().__init__(*resources)
        self._events: asyncio.Queue[WatchEvent | Exception] = asyncio.Queue()
        self.synced = asyncio.Event()  # cleared: the watch has not yet reported everything
        self.synced.set()
        self.unreadable_at_start: list[Unreadable] = []  # found when the watch begins
        self.away = False
        self.watched: list[set[type[Resource]]] = []  # the kinds of each watch that was begun

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        if self.away:
            raise Unavailable(f"get {kind.KIND} {name}: the store is away")
        return await super().get(kind, name, namespace)

    async def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        kinds = {interest_in(interest).kind for interest in interests}
        self.watched.append(kinds)
        for resource in list(self.objects.values()):
            if type(resource) in kinds:
                yield Changed(resource)
        for record in self.unreadable_at_start:
            yield record
        await self.synced.wait()
        yield InSync()
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    def fail_watch(self, failure: Exception) -> None:
        """End the watch that runs; the next one begins with what there is."""
        self._events.put_nowait(failure)

    def put(self, *resources: Resource) -> None:
        for resource in resources:
            self._events.put_nowait(Changed(resource))

    def report(self, event: WatchEvent) -> None:
        self._events.put_nowait(event)

    def remove(self, resource: Resource) -> None:
        kind, metadata = type(resource), resource.metadata
        self._events.put_nowait(Gone(kind, metadata.name, metadata.namespace, resource))


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as something is true; fail after a time that only a broken program needs."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is of a program that knows no test
            await asyncio.sleep(0.001)
