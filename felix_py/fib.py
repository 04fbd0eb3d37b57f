"""What the kernel holds against what the RIB wants, and the batch between the two.

Pure. `Fib` is folded from one dump and then from events; `steps` compares it with the RIB, for a few changed
prefixes as for all of them. Ownership is decided here and nowhere else: a route is ours when it carries one of
our protocol numbers *and* our metric; the kernel tells routes apart by prefix and metric, so a foreign route
with another metric lies beside ours and is never written over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from felix_py.rib import Rib
from kernel.events import RouteChanged
from kernel.route import UNICAST, RouteSpec
from net.prefix import Prefix


class Ownership(NamedTuple):
    """How our routes are marked in the kernel."""

    local: int = 80  # as Felix's: pods, blocks, tunnels
    learned: int = 81  # over BGP by us; nobody names this number
    metric: int = 1030  # nobody's default, in either family

    def has(self, path: RouteSpec) -> bool:
        return path.metric == self.metric and path.protocol in (self.local, self.learned)


@dataclass(frozen=True, slots=True)
class Plan:
    """One batch: routes to put, then routes to remove; `replaced` is what puts take the place of."""

    put: Sequence[tuple[Prefix, RouteSpec]] = ()
    remove: Sequence[tuple[Prefix, RouteSpec]] = ()
    replaced: Mapping[Prefix, RouteSpec] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.put or self.remove)

    def before(self) -> dict[Prefix, RouteSpec | None]:
        """Return what the kernel held of each prefix before the plan was carried out."""
        return {prefix: self.replaced.get(prefix) for prefix, _ in self.put} | dict(self.remove)


@dataclass(slots=True)
class Fib:
    """The kernel's routes as far as they concern us.

    held     ours, as last read or written
    squatted prefixes where a foreign route sits at our very metric and was there before us: left alone
    shadows  foreign routes at other metrics for prefixes of ours, with the protocol number; the lowest metric wins
    """

    ownership: Ownership = field(default_factory=Ownership)
    held: dict[Prefix, RouteSpec] = field(default_factory=dict)
    squatted: dict[Prefix, RouteSpec] = field(default_factory=dict)
    shadows: dict[Prefix, dict[int, RouteSpec]] = field(default_factory=dict)

    def load(self, dump: Iterable[tuple[Prefix, RouteSpec]]) -> set[Prefix]:
        """Take a whole dump for the truth; return the prefixes where it differs from what we believed."""
        before = self.held
        self.held, self.squatted, self.shadows = {}, {}, {}
        for prefix, path in dump:
            if self.ownership.has(path):
                self.held[prefix] = path
            elif path.metric == self.ownership.metric and prefix not in before:
                self.squatted[prefix] = path
            elif path.metric != self.ownership.metric:
                self.shadows.setdefault(prefix, {})[path.metric] = path
        return {prefix for prefix in before.keys() | self.held.keys() if before.get(prefix) != self.held.get(prefix)}

    def fold(self, event: RouteChanged) -> Prefix | None:
        """Take one change made by somebody else; return the prefix if it needs another look."""
        if event.spec.metric != self.ownership.metric:
            self._shadow(event)
            return None
        prefix, known = event.prefix, self.held.get(event.prefix)
        if event.gone:
            if self.squatted.pop(prefix, None) is None and known is None:
                return None
            self.held.pop(prefix, None)
            return prefix
        if self.ownership.has(event.spec):
            self.squatted.pop(prefix, None)
            self.held[prefix] = event.spec
            return prefix if event.spec != known else None
        if known is None:
            self.squatted[prefix] = event.spec
            return None
        del self.held[prefix]  # written over in place: ours to put right
        return prefix

    def forget_device(self, device: int, among: Iterable[Prefix] | None = None) -> set[Prefix]:
        """Drop the routes through a device that went down or away: the kernel removes IPv4 ones without a word.

        `among` spares a look at the whole table where it is known what can have led through the device.
        """
        looked_at = self.held if among is None else [prefix for prefix in among if prefix in self.held]
        lost = {prefix for prefix in looked_at if any(hop.device == device for hop in self.held[prefix].hops)}
        for prefix in lost:
            del self.held[prefix]
        return lost

    def carried_out(self, plan: Plan) -> None:
        """Take over what a plan changes."""
        self.held.update(plan.put)
        for prefix, _ in plan.remove:
            self.held.pop(prefix, None)

    def refuse(self, prefix: Prefix, before: RouteSpec | None) -> None:
        """The kernel refused a step of the plan: what it held before, it holds still."""
        if before is None:
            self.held.pop(prefix, None)
        else:
            self.held[prefix] = before

    def _shadow(self, event: RouteChanged) -> None:
        beside = self.shadows.setdefault(event.prefix, {})
        if event.gone:
            beside.pop(event.spec.metric, None)
        else:
            beside[event.spec.metric] = event.spec
        if not beside:
            del self.shadows[event.prefix]

    def shadow_of(self, prefix: Prefix) -> RouteSpec | None:
        """Return the foreign route that wins over ours for the same prefix, if there is one."""
        better = [path for metric, path in self.shadows.get(prefix, {}).items() if metric < self.ownership.metric]
        return min(better, key=lambda path: path.metric) if better else None


def steps(rib: Rib, fib: Fib, prefixes: Iterable[Prefix], removable: Collection[int]) -> Plan:
    """Return what makes the kernel hold the best resolved routes of `prefixes`: the changed ones, or all.

    removable: the protocol numbers whose routes may be removed by now. Nothing is removed on a guess: not
    before the datastore is in sync (local routes), nor before the peers have said all (learned ones).
    """
    put: list[tuple[Prefix, RouteSpec]] = []
    remove: list[tuple[Prefix, RouteSpec]] = []
    replaced: dict[Prefix, RouteSpec] = {}
    tables, held, squatted = rib.in_use(), fib.held, fib.squatted
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
            if now is not None and now.protocol in removable:
                remove.append((prefix, now))
        elif best is not now and best != now and prefix not in squatted:
            if early and now is not None and now.protocol == local and best.protocol != local:
                continue  # a tunnel of before a restart: until the datastore is in sync, to replace it is to remove it
            put.append((prefix, best))
            if now is not None:
                replaced[prefix] = now
    return Plan(put, remove, replaced)
