"""What the kernel holds against what the RIB wants, and the batch between the two.

Pure. `Fib` is folded from one dump and then from events; `steps` compares it with the RIB, for a few changed
prefixes as for all of them. Ownership is decided here and nowhere else: a route is ours when it carries one of
our protocol numbers *and* our metric; the kernel tells routes apart by prefix and metric, so a foreign route
with another metric lies beside ours and is never written over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import NamedTuple

from msgspec import Struct, field

from felix_py.routes.rib import Rib
from kernel.events import RouteChanged
from kernel.route import UNICAST, RouteSpec
from kernel.route_order import in_easy_order
from net.prefix import Prefix

PORTION = 1000  # prefixes that are planned at a time: a millisecond, in which nothing else goes on


class Ownership(NamedTuple):
    """How our routes are marked in the kernel."""

    local: int = 80  # as Felix's: pods, blocks, tunnels
    learned: int = 81  # over BGP; no other program is known to use this number
    metric: int = 1030  # no program's default, in either family

    def has(self, spec: RouteSpec) -> bool:
        return spec.metric == self.metric and spec.protocol in (self.local, self.learned)


class Plan(Struct, frozen=True):
    """One batch: routes to put, then routes to remove; `replaced` is what puts take the place of."""

    put: Sequence[tuple[Prefix, RouteSpec]] = ()
    remove: Sequence[tuple[Prefix, RouteSpec]] = ()
    replaced: Mapping[Prefix, RouteSpec] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.put or self.remove)

    def before(self) -> dict[Prefix, RouteSpec | None]:
        """Return what the kernel held of each prefix before the plan was carried out."""
        return {prefix: self.replaced.get(prefix) for prefix, _ in self.put} | dict(self.remove)


class Fib(Struct):
    """The kernel's routes as far as they concern us.

    held         ours, as last read or written
    conflicting  foreign routes that have our metric and were there before ours: left alone
    foreign      foreign routes at other metrics, by prefix and metric; for one prefix the lowest metric wins
    """

    ownership: Ownership = field(default_factory=Ownership)
    held: dict[Prefix, RouteSpec] = field(default_factory=dict)
    conflicting: dict[Prefix, RouteSpec] = field(default_factory=dict)
    foreign: dict[Prefix, dict[int, RouteSpec]] = field(default_factory=dict)
    _devices: set[int] = field(default_factory=set)
    """What routes with our metric have led through since the table was last read: most devices, none ever did."""
    _foreign_by_device: dict[int, set[tuple[Prefix, int]]] = field(default_factory=dict)

    def load(self, dump: Iterable[tuple[Prefix, RouteSpec]]) -> set[Prefix]:
        """Take a whole dump for the truth; return the prefixes where it differs from what we believed."""
        before = self.held
        self.held, self.conflicting, self.foreign, self._foreign_by_device = {}, {}, {}, {}
        held, own, distinct = self.held, None, dict[int, RouteSpec]()
        for prefix, spec in dump:
            if spec is own:  # most routes of a full table share theirs with the one before
                held[prefix] = spec
            elif self.ownership.has(spec):
                held[prefix] = own = distinct[id(spec)] = spec
            elif spec.metric == self.ownership.metric and prefix not in before:
                self.conflicting[prefix] = spec
            elif spec.metric != self.ownership.metric:
                self._forget_foreign(prefix, spec.metric)  # IPv6 has fe80::/64 of one metric on every device
                self._put_foreign(prefix, spec)
        self._devices = {
            hop.device for specs in (distinct, self.conflicting) for spec in specs.values() for hop in spec.hops
        }
        if not before:
            return set(self.held)
        return {prefix for prefix in before.keys() | self.held.keys() if before.get(prefix) != self.held.get(prefix)}

    def fold(self, event: RouteChanged) -> Prefix | None:
        """Take in one change made by another program; return the prefix if a route of ours is concerned."""
        if event.spec.metric != self.ownership.metric:
            self._fold_foreign(event)
            return None
        self._devices.update(hop.device for hop in event.spec.hops)
        prefix, known = event.prefix, self.held.get(event.prefix)
        if event.gone:
            if self.conflicting.pop(prefix, None) is None and known is None:
                return None
            self.held.pop(prefix, None)
            return prefix
        if self.ownership.has(event.spec):
            self.conflicting.pop(prefix, None)
            self.held[prefix] = event.spec
            return prefix if event.spec != known else None
        if known is None:
            self.conflicting[prefix] = event.spec
            return None
        del self.held[prefix]  # written over in place: ours to put right
        return prefix

    def forget_device(self, device: int, among: Iterable[Prefix] | None = None) -> set[Prefix]:
        """Drop the routes through a device that went down or away: the kernel removes IPv4 ones without an event.

        among: the prefixes that can have led through the device; None: any of the table's, which is looked through if
        any route ever did. Return those whose route is to be looked at again. Of other programs' routes that have
        other hops too, only the hop is dropped.
        """
        for prefix, metric in tuple(self._foreign_by_device.get(device, ())):
            spec = self.foreign[prefix][metric]
            rest = _without(device, spec)
            self._fold_foreign(RouteChanged(prefix, rest or spec, gone=rest is None))
        if device not in self._devices:
            return set()
        if among is None:
            self._devices.discard(device)
        lost = _through(device, self.held, among)
        for prefix in lost:
            del self.held[prefix]
        in_our_way = _through(device, self.conflicting, among)
        for prefix in in_our_way:
            if (rest := _without(device, self.conflicting.pop(prefix))) is not None:
                self.conflicting[prefix] = rest
        return lost | in_our_way

    def carried_out(self, plan: Plan) -> None:
        """Take over what a plan changes."""
        self.held.update(plan.put)
        distinct = {id(spec): spec for _, spec in plan.put}  # of a full table a few: its routes share them
        self._devices.update(hop.device for spec in distinct.values() for hop in spec.hops)
        for prefix, _ in plan.remove:
            self.held.pop(prefix, None)

    def refuse(self, prefix: Prefix, before: RouteSpec | None) -> None:
        """Take in that the kernel refused a step of the plan: it still holds what it held before."""
        if before is None:
            self.held.pop(prefix, None)
        else:
            self.held[prefix] = before

    def _fold_foreign(self, event: RouteChanged) -> None:
        prefix = event.prefix
        self._forget_foreign(prefix, event.spec.metric)
        if not event.gone:
            self._put_foreign(prefix, event.spec)
        elif not self.foreign.get(prefix, True):
            del self.foreign[prefix]

    def _forget_foreign(self, prefix: Prefix, metric: int) -> None:
        """Drop what is known under a prefix and metric, and that its devices lead there."""
        before = self.foreign.get(prefix, {}).pop(metric, None)
        for device in {hop.device for hop in before.hops} if before else ():
            self._foreign_by_device[device].discard((prefix, metric))
            if not self._foreign_by_device[device]:
                del self._foreign_by_device[device]

    def _put_foreign(self, prefix: Prefix, spec: RouteSpec) -> None:
        self.foreign.setdefault(prefix, {})[spec.metric] = spec
        for hop in spec.hops:
            self._foreign_by_device.setdefault(hop.device, set()).add((prefix, spec.metric))

    def overriding(self, prefix: Prefix) -> RouteSpec | None:
        """Return the foreign route that wins over ours for the same prefix, if there is one."""
        if prefix not in self.foreign:
            return None
        better = [spec for metric, spec in self.foreign[prefix].items() if metric < self.ownership.metric]
        return min(better, key=lambda spec: spec.metric) if better else None


def _through(device: int, routes: Mapping[Prefix, RouteSpec], among: Iterable[Prefix] | None) -> set[Prefix]:
    looked_at = routes.items() if among is None else [(one, routes[one]) for one in among if one in routes]
    return {prefix for prefix, spec in looked_at for hop in spec.hops if hop.device == device}


def _without(device: int, spec: RouteSpec) -> RouteSpec | None:
    """Return a route without its hops by a device, None if there are no others."""
    hops = tuple(hop for hop in spec.hops if hop.device != device)
    if len(hops) == len(spec.hops):
        return spec
    return spec._replace(hops=hops) if hops else None


def _leads_through(devices: AbstractSet[int], spec: RouteSpec) -> bool:
    return any(hop.device in devices for hop in spec.hops)


def unwanted(rib: Rib, prefixes: Iterable[Prefix]) -> Iterator[Prefix]:
    """Yield those of these prefixes for which no source has a resolved route."""
    tables = sorted(rib.in_use(), key=len, reverse=True)
    for prefix in prefixes:
        for table in tables:  # as in `steps`
            best = table.get(prefix)
            if best is not None and (best.hops or best.kind != UNICAST):
                break
        else:
            yield prefix


def steps(
    rib: Rib, fib: Fib, prefixes: Iterable[Prefix], removable: Collection[int], withdrawn: Collection[Prefix] = ()
) -> Plan:
    """Return what makes the kernel hold the best resolved routes of `prefixes`: the changed ones, or all.

    removable: the protocol numbers whose routes may be removed by now. Nothing is removed on a guess: not
    before the datastore is in sync (local routes), nor before the peers' end-of-RIB (learned ones). withdrawn: what the
    peers withdrew since the start is known, and waits for no end-of-RIB.
    """
    put: list[tuple[Prefix, RouteSpec]] = []
    remove: list[tuple[Prefix, RouteSpec]] = []
    replaced: dict[Prefix, RouteSpec] = {}
    tables, held, conflicting = rib.in_use(), fib.held, fib.conflicting
    local = fib.ownership.local
    early = local not in removable
    for prefix in prefixes:
        for table in tables:  # rib.best, without a call for each route: this loop is the price of a full table
            best = table.get(prefix)
            if best is not None and (best.hops or best.kind != UNICAST):
                break
        else:
            best = None
        now = held.get(prefix)
        if best is None:
            if now is None:
                continue
            if now.protocol in removable or (now.protocol == fib.ownership.learned and prefix in withdrawn):
                remove.append((prefix, now))
        elif now is None:
            if prefix not in conflicting:
                put.append((prefix, best))
        elif best is not now and best != now and prefix not in conflicting:
            if early and best.protocol != local and (now.protocol == local or now.mtu):
                continue  # a tunnel of before a restart: until the datastore is in sync, to replace it is to remove it
            put.append((prefix, best))
            replaced[prefix] = now
    return Plan(put, remove, replaced)


class Round:
    """What one write brings to the kernel of what is due: planned a portion at a time, as the kernel takes it.

    Of all that is due, puts come before removals. What the kernel takes counts as held from then on: a foreign change
    that comes meanwhile is then seen as one.
    """

    def __init__(
        self,
        rib: Rib,
        fib: Fib,
        due: Collection[Prefix],
        removable: Collection[int],
        withdrawn: AbstractSet[Prefix] = frozenset(),
        portion: int = PORTION,
    ) -> None:
        """removable, withdrawn: as of `steps`. portion: how many prefixes are planned at a time."""
        self._rib, self._fib, self._removable, self._portion = rib, fib, removable, portion
        self.due, self.withdrawn = due, withdrawn
        self._unwanted: list[Prefix] = []
        self.plans: list[Plan] = []
        """What was taken so far."""
        self._heard: set[Prefix] = set()
        self._lost: list[tuple[int, int]] = []

    def puts(self) -> Iterator[tuple[Prefix, RouteSpec]]:
        """Yield the routes to put, for one reader."""
        due = in_easy_order(self.due)
        tables = sorted(self._rib.in_use(), key=len, reverse=True)  # the largest has most of what is wanted
        if all(table.keys().isdisjoint(due) for table in tables):
            self._unwanted = due  # all of a full table that is withdrawn: the first ones go at once
            return
        for plan in self._plans(due):
            self._unwanted += [prefix for prefix, _ in plan.remove]
            yield from self._take(Plan(plan.put, (), plan.replaced)).put

    def removals(self) -> Iterator[tuple[Prefix, RouteSpec]]:
        """Yield the routes to remove, for one reader, when `puts` has been read to its end.

        One that has come to be wanted again meanwhile stays: it is due anew.
        """
        for plan in self._plans(self._unwanted):
            yield from self._take(Plan((), plan.remove)).remove

    def heard(self, prefix: Prefix) -> None:
        """Take in that an event told the FIB what the kernel holds of a prefix."""
        self._heard.add(prefix)

    def lost_device(self, device: int) -> None:
        """Take in that a device went down or away: what was replaced may have led through it, and is gone as well."""
        self._lost.append((len(self.plans), device))

    def before(self) -> dict[Prefix, RouteSpec | None]:
        """Return what the kernel held of each prefix that was taken so far, less what it has dropped since.

        Without those of which events spoke since then: what the FIB has of them is newer.
        """
        found: dict[Prefix, RouteSpec | None] = {}
        for number, plan in enumerate(self.plans):
            before, lost = plan.before(), {device for taken, device in self._lost if number < taken}
            if lost:
                gone = {prefix: None for prefix, spec in before.items() if spec and _leads_through(lost, spec)}
                before.update(gone)
            found.update(before)
        return {prefix: spec for prefix, spec in found.items() if prefix not in self._heard}

    def _plans(self, prefixes: Iterable[Prefix]) -> Iterator[Plan]:
        left = iter(prefixes)
        while portion := list(islice(left, self._portion)):
            yield steps(self._rib, self._fib, portion, self._removable, self.withdrawn)

    def _take(self, plan: Plan) -> Plan:
        if plan:
            self._fib.carried_out(plan)
            self.plans.append(plan)
            if self._heard:  # before this plan, which went by it
                self._heard.difference_update(plan.before())
        return plan
