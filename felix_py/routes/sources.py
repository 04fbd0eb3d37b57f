"""The routes that each source wants, as functions of the cluster's records and of what the peers announced.

Pure: no I/O, no clock, no logging. The source of tunnels is in felix_py/routes/tunnels.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bgp.speaker import LearnedPaths
from felix_py.routes.fib import Ownership
from felix_py.routes.next_hops import NextHopKey, covering
from felix_py.routes.rib import Rib, Source
from felix_py.snapshot import Endpoint, EndpointKey
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix

LINK_SCOPE = 253
KEPT_NEXT_HOPS = 1000  # that no route has any more, before they are forgotten


class PodRoutes:
    """The host routes of this node's pods, kept by endpoint so that one pod costs one pod's routes."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership
        self.without_device: dict[EndpointKey, Endpoint] = {}
        """Those with addresses whose device is not up."""
        self._stated: dict[EndpointKey, dict[Prefix, RouteSpec]] = {}
        self._holders: dict[Prefix, list[EndpointKey]] = {}  # the newest last: it has the route
        self._specs: dict[tuple[int, int], RouteSpec] = {}

    def update(self, rib: Rib, key: EndpointKey, endpoint: Endpoint | None, devices: Mapping[str, int]) -> None:
        """State the routes of one endpoint, or that it has none any more.

        devices: the devices that are up, by name. A pod whose device is not there wants its route all the same:
        it is in the RIB, unresolved, and is shown.
        """
        before, now = self._stated.pop(key, {}), {}
        self.without_device.pop(key, None)
        if endpoint is not None:
            device = devices.get(endpoint.device)
            if device is None and endpoint.addresses:  # one that is to come or has ended has neither
                self.without_device[key] = endpoint
            now = {address: self._spec(device, address.bits) for address in endpoint.addresses}
        if now:
            self._stated[key] = now
        for address in before.keys() - now.keys():
            self._holders[address].remove(key)
            self._put_newest(rib, address)
        for address in now:
            holders = self._holders.setdefault(address, [])
            if key not in holders:
                holders.append(key)
            self._put_newest(rib, address)

    def _put_newest(self, rib: Rib, address: Prefix) -> None:
        """State the route of the newest endpoint that has an address: when one of two goes, the other's comes back."""
        if holders := self._holders[address]:
            rib.put(Source.PODS, address, self._stated[holders[-1]][address])
        else:
            del self._holders[address]
            rib.remove(Source.PODS, address)

    def _spec(self, device: int | None, bits: int) -> RouteSpec:
        scope = LINK_SCOPE if bits == 32 else 0  # IPv6 has no scopes on routes
        if device is None:
            return RouteSpec(self._ownership.local, metric=self._ownership.metric, scope=scope)
        if (device, bits) not in self._specs:
            hops = (NextHop(device),)
            self._specs[device, bits] = RouteSpec(
                self._ownership.local, hops=hops, metric=self._ownership.metric, scope=scope
            )
        return self._specs[device, bits]

    def forget_device(self, device: int) -> None:
        for bits in (32, 128):
            self._specs.pop((device, bits), None)


def block_routes(blocks: Iterable[Prefix], ownership: Ownership) -> dict[Prefix, RouteSpec]:
    """Return the blackhole of each own block, so that its unassigned addresses never follow the default route.

    A block of a single address has none: it would have a pod's address as its destination.
    """
    spec = RouteSpec(ownership.local, kind=BLACKHOLE, metric=ownership.metric)
    return {block: spec for block in blocks if not block.is_host}


class LearnedRoutes:
    """What the peers announced best, with next hops resolved as this node's kernel does."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership
        self._routes: dict[Prefix, LearnedPaths] = {}
        self._by_paths: dict[LearnedPaths, dict[Prefix, None]] = {}
        """The destinations of the routes with these paths, in the order in which they came."""
        self._hops: dict[NextHopKey, NextHop | None] = {}
        self._specs: dict[LearnedPaths, RouteSpec] = {}
        self._covering: set[Prefix] = set()  # every prefix that a next hop lies in
        self._forget_at = KEPT_NEXT_HOPS

    @property
    def routes(self) -> Mapping[Prefix, LearnedPaths]:
        return self._routes

    def next_hops(self) -> set[NextHopKey]:
        """Return every next hop in use."""
        return {NextHopKey.of(path) for paths in self._by_paths for path in paths}

    def known(self) -> set[NextHopKey]:
        """Return every next hop that was ever resolved, reachable or not."""
        return set(self._hops)

    def concerned(self, changed: Collection[Prefix]) -> bool:
        """Whether routes for these prefixes may change how a next hop is reached."""
        if len(changed) < len(self._covering):
            return any(prefix in self._covering for prefix in changed)
        return any(prefix in changed for prefix in self._covering)

    def unknown(self, learned: Iterable[LearnedPaths]) -> set[NextHopKey]:
        """Return the next hops that were never resolved."""
        distinct = {id(paths): paths for paths in learned}.values()  # what was learned together shares one object
        return {NextHopKey.of(path) for paths in set(distinct) for path in paths} - self._hops.keys()

    def resolved(self, rib: Rib, answers: Mapping[NextHopKey, NextHop | None]) -> None:
        """Take in how next hops are reached now; routes whose way changed are stated again."""
        moved = {next_hop for next_hop, hop in answers.items() if self._hops.get(next_hop, ()) != hop}
        for next_hop in answers.keys() - self._hops.keys():
            self._covering.update(covering(next_hop.found_by))
        self._hops.update(answers)
        if len(self._hops) > self._forget_at:
            self._forget_unused(answers.keys())
        if not moved:
            return
        affected = {paths for paths in self._specs if any(NextHopKey.of(path) in moved for path in paths)}
        for paths in affected:
            del self._specs[paths]
            if destinations := self._by_paths.get(paths):
                rib.put_all(Source.LEARNED, dict.fromkeys(destinations, self._spec(paths)))

    def _forget_unused(self, coming: Collection[NextHopKey]) -> None:
        """Forget the next hops that no route has: peers decide how many there are in the course of time.

        coming: those whose routes are stated next.
        """
        used = self.next_hops() | set(coming)
        self._hops = {next_hop: hop for next_hop, hop in self._hops.items() if next_hop in used}
        self._covering = {prefix for next_hop in self._hops for prefix in covering(next_hop.found_by)}
        self._specs = {paths: spec for paths, spec in self._specs.items() if paths in self._by_paths}
        self._forget_at = KEPT_NEXT_HOPS + 2 * len(self._hops)

    def put(self, rib: Rib, routes: Mapping[Prefix, LearnedPaths]) -> None:
        """State routes; their next hops have been resolved. Where only the peer differs, the RIB does not change."""
        wanted: dict[Prefix, RouteSpec] = {}
        seen: dict[int, tuple[RouteSpec, dict[Prefix, None]]] = {}  # by identity: what was learned together shares one
        for prefix, paths in routes.items():
            found = seen.get(id(paths))
            if found is None:
                found = seen[id(paths)] = self._spec(paths), self._by_paths.setdefault(paths, {})
            wanted[prefix], destinations = found
            destinations[prefix] = None
        for prefix in rib.put_all(Source.LEARNED, wanted):
            if (before := self._routes[prefix]) != routes[prefix]:
                self._leave(prefix, before)
        self._routes.update(routes)

    def remove(self, rib: Rib, prefixes: Iterable[Prefix]) -> None:
        gone = list(prefixes)
        for prefix in gone:
            if (paths := self._routes.pop(prefix, None)) is not None:
                self._leave(prefix, paths)
        rib.remove_all(Source.LEARNED, gone)

    def _leave(self, prefix: Prefix, paths: LearnedPaths) -> None:
        """Take in that a destination has these paths no more."""
        destinations = self._by_paths[paths]
        del destinations[prefix]
        if not destinations:
            del self._by_paths[paths]

    def unreachable(self) -> set[NextHopKey]:
        return {next_hop for next_hop in self.next_hops() if self._hops.get(next_hop) is None}

    def _spec(self, paths: LearnedPaths) -> RouteSpec:
        if paths not in self._specs:
            next_hops = dict.fromkeys(map(NextHopKey.of, paths))
            hops = tuple(hop for next_hop in next_hops if (hop := self._hops.get(next_hop)) is not None)
            self._specs[paths] = RouteSpec(self._ownership.learned, hops=hops, metric=self._ownership.metric)
        return self._specs[paths]
