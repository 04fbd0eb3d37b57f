"""Carries what the RIB wants to the kernel, and the kernel's changes back into the FIB.

An edge: it writes what `fib.steps` decides, keeps what was refused for another try, and logs each change as a command
of `ip` that can be typed back. It decides no route.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet

from datastore.backoff import Backoff
from felix_py.edges import Kernel
from felix_py.routes.fib import Fib, Plan, Round, unwanted
from felix_py.routes.rib import Rib
from felix_py.routes.touched import Touched
from kernel.events import Refused, RouteChanged
from kernel.route import RouteSpec, ip_route_text
from net.prefix import Prefix

log = logging.getLogger("felix.fib")

LOGGED_ONE_BY_ONE = 200  # routes of one batch; those of a larger one are logged at DEBUG only
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 30.0


class FibWriter:
    """The one writer of this node's routes.

    What is due is what the RIB wants anew, and what `_pending` holds: prefixes for which the kernel does not hold what
    is wanted, or may not, because it refused a route, lost one, or another program wrote one.
    """

    def __init__(
        self,
        kernel: Kernel,
        rib: Rib,
        fib: Fib,
        wake: Callable[[], None],
        names: Mapping[int, str] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """wake: asks for `write` soon. names: of the devices, for the log. backoff: between tries of refused routes."""
        self._kernel, self._rib, self.fib, self._wake = kernel, rib, fib, wake
        self._names = {} if names is None else names
        self._one_batch = asyncio.Lock()
        self._pending: dict[Prefix, None] = {}
        self._removable: set[int] = set()
        self._withdrawn: set[Prefix] = set()
        self._backoff = backoff or Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._retry: asyncio.TimerHandle | None = None
        self._under_way: Round | None = None
        self.refused: dict[Prefix, Refused] = {}
        self.touched = Touched()
        """What is wanted anew, was written, or was changed by others."""
        self.repairs = self.puts = self.removes = self.silent_changes = 0
        self.foreign_changes = 0  # of routes of ours, put right or not
        self._read_before = False
        self.foreign_touched: list[str] = []  # foreign routes that a write of ours hit: must stay empty

    def allow_removal(self, protocol: int) -> None:
        """From now on routes with this protocol number may be removed: all that should stay has been stated."""
        if protocol in self._removable:
            return
        self._removable.add(protocol)
        held = self.fib.held.items()
        if protocol == self.fib.ownership.local:
            self._mark(prefix for prefix, spec in held if spec.protocol == protocol or spec.mtu)
        else:  # what is wanted was looked at when it was learned: of a full table that is nearly all
            self._mark(unwanted(self._rib, (prefix for prefix, spec in held if spec.protocol == protocol)))

    def withdrawn(self, prefixes: Iterable[Prefix]) -> None:
        """Take in that peers withdrew these: their learned routes go now, whatever is still waited for."""
        if self.fib.ownership.learned not in self._removable:
            gone = [prefix for prefix in prefixes if prefix in self.fib.held]
            self._withdrawn.update(gone)
            self._mark(gone)

    async def read_all(self) -> None:
        """Read everything from the kernel; whatever differs from the RIB is due. Raises KernelError.

        From the second time on, what differs from what events made us believe is worth a line.
        """
        async with self._one_batch:
            differing = self.fib.load(await self._kernel.dump())
            self.touched.add(differing)
            if differing and self._read_before:
                self.silent_changes += len(differing)
                example = min(differing)
                found = "holds otherwise" if example in self.fib.held else "no longer holds"
                log.warning(
                    "the kernel changed %d routes of ours without an event, such as %s, which it %s; putting it right",
                    len(differing),
                    example,
                    found,
                )
            self._read_before = True
        # Until something may be removed, as at a start, only what is wanted can be due.
        self._mark(self.fib.held.keys() | self._rib.prefixes() if self._removable else self._rib.prefixes())

    async def write(self) -> None:
        """Bring what is due to the kernel. Callers that come while a batch runs share the next one."""
        async with self._one_batch:
            due = self._take_due()
            one = Round(self._rib, self.fib, due, self._removable, due & self._withdrawn)
            self._withdrawn -= one.withdrawn
            for prefix in self.refused.keys() & due:
                del self.refused[prefix]
            self._under_way = one
            try:
                refused = await self._kernel.apply(one.puts(), one.removals())
            except BaseException:  # cancelled half way: how far it got is unknown
                self._write_again(one)
                raise
            finally:
                self._under_way = None
                for plan in one.plans:
                    self.touched.add([prefix for prefix, _ in (*plan.put, *plan.remove)])
            if not one.plans:
                return
            self._log(one.plans, {refusal.prefix for refusal in refused})
            if refused:
                self._retry_later(refused, one)
            else:
                self._backoff.reset()

    def _take_due(self) -> AbstractSet[Prefix]:
        wanted = self._rib.take_changed()
        self.touched.add(wanted)
        if not self._pending:
            return wanted
        pending, self._pending = self._pending, {}
        pending.update(dict.fromkeys(wanted))
        return pending.keys()

    def _mark(self, prefixes: Iterable[Prefix]) -> None:
        """Count these as due, although what is wanted of them is the same: the kernel may hold something else."""
        self._pending.update(dict.fromkeys(prefixes))
        if self._pending:
            self._wake()

    def foreign_change(self, event: RouteChanged, *, repair: bool) -> bool:
        """Take in a change made by another program; return True if it concerned a route of ours."""
        prefix = self.fib.fold(event)
        if self._under_way is not None and event.spec.metric == self.fib.ownership.metric:
            self._under_way.heard(event.prefix)
        if prefix is None:
            return False
        self.touched.add((prefix,))
        wanted = self._rib.best(prefix)
        if wanted == self.fib.held.get(prefix):
            return False
        self.foreign_changes += 1
        self.repairs += repair
        log.warning(
            "route %s was %s by another program; %s",
            self._text(prefix, wanted or event.spec),
            "deleted" if event.gone else f"replaced by protocol {event.spec.protocol}",
            "putting it right" if repair else "left as it is (FELIX_REPAIR is off)",
        )
        if repair:
            self._mark([prefix])
        return True

    def own_change(self, event: RouteChanged) -> None:
        """Check the kernel's report of a write of ours: none may have hit a route that is not ours."""
        hit = not self.fib.ownership.has(event.spec) if event.gone else event.prefix in self.fib.conflicting
        if hit:
            self.foreign_touched.append(f"a write of ours hit {self._text(event.prefix, event.spec)}")
            log.error("%s", self.foreign_touched[-1])

    def lost_device(self, device: int, among: Iterable[Prefix] | None = None) -> None:
        """A device went down or away: its routes are gone, with or without an event. among: as in the FIB."""
        if self._under_way is not None:
            self._under_way.lost_device(device)
        lost = self.fib.forget_device(device, among)
        self.touched.add(lost)
        self._mark(lost)

    def retry_refused(self) -> None:
        """Try the refused routes with the next batch: something changed that may let them in."""
        self._mark(self.refused)

    def _write_again(self, failed: Round) -> None:
        for prefix, spec in failed.before().items():
            self.fib.refuse(prefix, spec)
        self._withdrawn |= failed.withdrawn
        self._mark(failed.due)

    def _retry_later(self, refused: Iterable[Refused], written: Round) -> None:
        before = written.before()
        delay = self._backoff.next()
        for refusal in refused:
            self.refused[refusal.prefix] = refusal
            if refusal.prefix in before:
                self.fib.refuse(refusal.prefix, before[refusal.prefix])
            text = self._text(refusal.prefix, refusal.spec)
            log.warning("put route %s: %s; next try in %.1f s", text, refusal.text, delay)
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(delay, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        self.retry_refused()

    def _log(self, plans: Collection[Plan], refused: set[Prefix]) -> None:
        put, removed = sum(len(plan.put) for plan in plans), sum(len(plan.remove) for plan in plans)
        self.puts += put
        self.removes += removed
        level = logging.INFO if put + removed <= LOGGED_ONE_BY_ONE else logging.DEBUG
        if log.isEnabledFor(level):
            for plan in plans:
                for verb, routes in (("replace", plan.put), ("del", plan.remove)):
                    for prefix, spec in routes:
                        if prefix not in refused:
                            log.log(level, "ip route %s %s", verb, self._text(prefix, spec))
        if put + removed > LOGGED_ONE_BY_ONE:
            log.info("wrote %d routes: %d put, %d removed", put + removed, put, removed)

    def _text(self, prefix: Prefix, spec: RouteSpec) -> str:
        return ip_route_text(prefix, spec, self._names)
