"""What the agent's loop needs of the world, as Protocols: the kernel, the BGP sidecar, the end of a tunnel, a table of
nftables.

The store is the fifth (`datastore.store.Store`). Each has a small honest fake in tests/felix_py/fakes.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from bgp.client import SidecarEvent
from bgp.speaker import Attributes, Speaker
from datastore.fields import Address
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store, WatchEvent
from felix_py.topics import Topic
from kernel.events import KernelEvent, Refused
from kernel.link_codec import InterfaceAddress, Link
from kernel.nftables_table import OwnTable
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix

Routes = Sequence[tuple[Prefix, RouteSpec]]


class HostDevices(Protocol):
    """This machine's devices and their addresses."""

    def links(self) -> Mapping[int, Link]:
        """Return every device by index. Raises KernelError."""

    def addresses(self) -> Iterable[InterfaceAddress]:
        """Return every address of every device. Raises KernelError."""


class Kernel(HostDevices, Protocol):
    """This node's routes, devices and addresses. `kernel.rtnetlink.Rtnetlink` is the real one."""

    async def dump(self) -> Routes:
        """Return the main table's routes, both families. Raises KernelError."""

    async def read(self, take: Callable[[Routes], None]) -> None:
        """Give `take` the same, some hundred routes at a time, with moments for other work. Raises KernelError."""

    def match(self, prefix: Prefix) -> tuple[Prefix, RouteSpec] | None:
        """Return the route that a packet to the first address of a prefix would take: the longest, and of those with
        the same prefix the one with the lowest metric; None: none, or a blackhole, which IPv4 does not name."""

    async def apply(
        self, put: Iterable[tuple[Prefix, RouteSpec]], remove: Iterable[tuple[Prefix, RouteSpec]] = ()
    ) -> list[Refused]:
        """Put routes, then remove routes; return those the kernel refused. Of many the next are taken while some are
        written, so what works them out is hidden behind the kernel's own work."""

    def events(self) -> AsyncIterator[list[KernelEvent]]:
        """Yield what changed since this object was made, as many events at a time as were waiting."""

    def resolve(self, address: bytes, avoid: Collection[int] = ()) -> NextHop | None:
        """Return how this node reaches an address, without routes of the protocols in `avoid`; None: it does not."""


class PeersClient(Protocol):
    """The BGP peers, by way of the sidecar. `bgp.client.SidecarClient` is the real one.

    It owns what was stated: `speaker` and `announced` are what it was last given.
    """

    @property
    def speaker(self) -> Speaker | None: ...

    @property
    def announced(self) -> Mapping[Prefix, Attributes]: ...

    async def configure(self, speaker: Speaker) -> None:
        """State who this node is and whom it peers with. It does not wait for the sidecar."""

    async def announce(self, rib_out: Mapping[Prefix, Attributes]) -> None:
        """State everything this node announces. It does not wait for the sidecar."""

    def events(self, held: Callable[[], Iterable[Prefix]]) -> AsyncIterator[SidecarEvent]:
        """Yield what the sidecar reports, for one consumer. held: returns what it has learned so far."""

    async def run(self) -> None:
        """Keep the connection until cancelled."""


class PacketTable(Protocol):
    """This node's own table of nftables. `felix_py.packet_filter.kept_rules.KeptRules` is the real one."""

    @property
    def problem(self) -> str:
        """Why it is not as wanted, as a sentence; "" = it is."""

    def apply(self, table: OwnTable | None) -> None:
        """State what it should hold; None: there should be none. It does not wait."""

    async def run(self) -> None:
        """Keep it as wanted until cancelled."""


class TunnelDevice(Protocol):
    """This node's end of a tunnel. `felix_py.encap.tunnel_device.KernelTunnelDevice` is the real one."""

    @property
    def address(self) -> str | None:
        """Its address, as IPAM has it; None while there is none."""

    @property
    def problem(self) -> str:
        """Why it is not as wanted, as a sentence; "" = it is."""

    def apply(self, mtu: int) -> None:
        """State what is wanted: up with this MTU and its address, or, with MTU 0, no address. It does not wait."""

    async def run(self) -> None:
        """Keep the device as wanted until cancelled."""


async def _nothing() -> Sequence[WorkloadEndpoint]:
    return ()


class Edges(Struct, frozen=True):
    """observe: is given every event of the store too: the allocator, which so needs no watch of its own, and others.
    host_changed: is given what changed of the host: whoever compares it with the own Node.
    avoid: is given the addresses of hosts, and whose each is: the allocator, which gives them to no pod.
    log_from: is given the log level that FelixConfiguration sets.
    forward: lets packets of these IP versions through the host. Raises KernelError.
    claimed: returns the blocks that this agent has claimed, which the watch may have yet to report.
    take_up: returns, once, the endpoints that the agent before attached and did not write. Raises Unavailable.
    """

    store: Store
    kernel: Kernel
    peers: PeersClient
    tunnel: TunnelDevice
    table: PacketTable
    observe: Callable[[WatchEvent], Topic | None] = lambda event: None
    host_changed: Callable[[Topic], None] = lambda topic: None
    avoid: Callable[[Mapping[Address, str]], None] = lambda hosts: None
    log_from: Callable[[str], None] = lambda level: None
    forward: Callable[[frozenset[int]], None] = lambda families: None
    claimed: Callable[[], Collection[Prefix]] = tuple
    take_up: Callable[[], Awaitable[Sequence[WorkloadEndpoint]]] = _nothing
