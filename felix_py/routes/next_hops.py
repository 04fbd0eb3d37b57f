"""How this node reaches a next hop, by what is in its routing table: the host's own routes and ours.

Pure but for the kernel's look-up, which is handed in: no I/O, no clock, no logging. A next hop may be reached by a
learned route, as a fabric announces its racks' subnets, but never by a route that itself leads through it. A connected
network goes before anything learned, however narrow: no peer hides a neighbour from us. A static route to a peer goes
before both. An IPv6 link-local next hop is on the link by which we reach the peer that announced it (RFC 2545 §2), and
nowhere if that peer is not on link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct

from bgp.speaker import LearnedPath, LearnedPaths
from felix_py.routes.fib import Fib
from felix_py.routes.rib import Rib, Source, is_resolved
from kernel.route import UNICAST, NextHop, RouteSpec
from net.prefix import Prefix, pack, unpack

DEEPEST, WIDEST = 3, 8  # learned routes one behind the other, and paths of each: peers decide about both
LINK_LOCAL = Prefix.parse("fe80::/10")


class NextHopKey(NamedTuple):
    """What a next hop's way depends on: its address, and where that means something on one link only, the peer."""

    address: bytes
    peer: bytes = b""

    @classmethod
    def of(cls, path: LearnedPath) -> NextHopKey:
        return cls(path.next_hop, pack(path.peer)) if is_link_local(path.next_hop) else cls(path.next_hop)

    def __str__(self) -> str:
        address = unpack(self.address)
        return f"{address} on the link to {unpack(self.peer)}" if self.peer else address

    @property
    def found_by(self) -> bytes:
        """The address that is looked up in the table."""
        return self.peer or self.address


class Table(Struct, frozen=True):
    """What there is to reach a next hop by. The same content gives the same way, in whatever order it came.

    ask: the kernel's answer for an address, by routes that are not learned. is_own: whether an address is this host's.
    """

    rib: Rib
    fib: Fib
    learned: Mapping[Prefix, LearnedPaths]
    ask: Callable[[bytes], NextHop | None]
    is_own: Callable[[bytes], bool]

    def way_of(self, next_hop: NextHopKey, passed: frozenset[Prefix] = frozenset()) -> NextHop | None:
        """Return how a next hop is reached; None: it is not. `passed` as of `way`."""
        hop = self.way(next_hop.found_by, passed)
        if not next_hop.peer:
            return hop
        on_link = hop is not None and hop.gateway == next_hop.peer and not self.is_own(next_hop.address)
        return NextHop(hop.device, next_hop.address) if hop is not None and on_link else None

    def way(self, address: bytes, passed: frozenset[Prefix] = frozenset()) -> NextHop | None:
        """Return how an address is reached; None: it is not.

        passed: the learned routes whose own next hops are being looked for.
        """
        if self.is_own(address):
            return None
        if (static := self._static(Prefix.host(address))) is not None:
            return _hop(static, address)
        prefixes = tuple(covering(address))
        host = self._of_host(prefixes)
        if (hop := _direct(host, address)) is not None:
            return hop
        ours = self.rib.in_use(Source.LEARNED)
        for prefix in prefixes:
            if self.fib.overriding(prefix):
                break
            local = (table[prefix] for table in ours if prefix in table)
            if (resolved := next(filter(is_resolved, local), None)) is not None:
                return _hop(resolved, address)
            if prefix in self.learned and prefix not in passed:
                if (hop := self._through(prefix, passed)) is not None:
                    return hop
                break  # the next shorter one is not tried: what peers announce bounds no search
        return self.ask(address) or (_hop(host, address) if host else None)

    def on_link(self, address: bytes) -> NextHop | None:
        """Return how an address is reached that is on a link of this host, whatever static route there is to it.

        None: it is on none, so that the kernel takes it for no gateway.
        """
        if self.is_own(address):
            return None
        hop = _direct(self._of_host(covering(address)), address) or self.ask(address)
        return hop if hop is not None and hop.gateway == address else None

    def _static(self, host: Prefix) -> RouteSpec | None:
        """Return the static route to an address, if the kernel follows it."""
        spec = self.rib.wanted(Source.STATIC).get(host)
        return spec if spec is not None and is_resolved(spec) and not self.fib.overriding(host) else None

    def _of_host(self, prefixes: Iterable[Prefix]) -> RouteSpec | None:
        """Return the host's own route for an address in all of these, of those that go before ours."""
        return next((spec for prefix in prefixes if (spec := self.fib.overriding(prefix))), None)

    def _through(self, prefix: Prefix, passed: frozenset[Prefix]) -> NextHop | None:
        """Return the first way that a learned route leads, never through itself."""
        if len(passed) >= DEEPEST:
            return None
        ways = (self.way_of(NextHopKey.of(path), passed | {prefix}) for path in self.learned.get(prefix, ())[:WIDEST])
        return next((hop for hop in ways if hop is not None), None)


def is_link_local(address: bytes) -> bool:
    return len(address) == 16 and LINK_LOCAL.contains(Prefix.host(address))


def covering(address: bytes) -> Iterator[Prefix]:
    """Yield every prefix that an address lies in, the longest first."""
    bits = 8 * len(address)
    number = int.from_bytes(address)
    for beyond in range(bits + 1):
        yield Prefix((number >> beyond << beyond).to_bytes(len(address)), bits - beyond)


def _direct(spec: RouteSpec | None, address: bytes) -> NextHop | None:
    """Return the way to an address on a connected network; None: the route is none of such."""
    if spec is None or spec.kind != UNICAST or not spec.hops or spec.hops[0].gateway:
        return None
    return NextHop(spec.hops[0].device, address)


def _hop(spec: RouteSpec, address: bytes) -> NextHop | None:
    if spec.kind != UNICAST or not spec.hops:
        return None
    hop = spec.hops[0]
    return NextHop(hop.device, hop.gateway or address, hop.onlink)
