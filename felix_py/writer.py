"""Carries the RIB's changes to the kernel, and the kernel's changes back into the FIB.

An edge: it writes what `fib.steps` decides, keeps what was refused for another try, and logs each change in the
words of the `ip` command. It decides no route.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from felix_py.fib import Fib, Plan, steps
from felix_py.rib import Rib
from kernel.events import Refused, RouteChanged
from kernel.route import ip_route_text
from kernel.rtnetlink import Rtnetlink
from net.prefix import Prefix

log = logging.getLogger("felix.fib")

SPELLED_OUT = 200  # routes of one batch that are logged one by one; of a larger one only at DEBUG
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 30.0


class FibWriter:
    """The one writer of this node's routes."""

    def __init__(self, kernel: Rtnetlink, rib: Rib, fib: Fib, wake: Callable[[], None]) -> None:
        """wake: asks for `write` soon; called from a timer when refused routes are due again."""
        self._kernel, self.rib, self.fib, self._wake = kernel, rib, fib, wake
        self._turn = asyncio.Lock()
        self._removable: set[int] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self.names: dict[int, str] = {}  # device names, for the log
        self.refused: dict[Prefix, Refused] = {}
        self.repairs = 0
        self.puts = 0
        self.removes = 0
        self.foreign_touched: list[str] = []  # foreign routes that a write of ours hit: must stay empty

    def allow_removal(self, protocol: int) -> None:
        """From now on routes with this protocol number may be removed: all that should stay has been stated."""
        if protocol not in self._removable:
            self._removable.add(protocol)
            self.rib.look_again(prefix for prefix, path in self.fib.held.items() if path.protocol == protocol)

    async def read_all(self) -> None:
        """Take the kernel's word for everything, and look again at whatever differs from the RIB."""
        async with self._turn:
            differing = self.fib.load(await self._kernel.dump())
        self.rib.look_again(differing | self.fib.held.keys() | self.rib.prefixes())

    async def write(self) -> None:
        """Bring the changed prefixes to the kernel. Callers that come while a batch runs share the next one."""
        async with self._turn:
            changed = self.rib.take_changed()
            plan = steps(self.rib, self.fib, changed, self._removable)
            for prefix in self.refused.keys() & changed:
                del self.refused[prefix]
            if not plan:
                return
            self.fib.carried_out(plan)  # before it is: a foreign change that comes meanwhile is then seen as one
            try:
                refused = await self._kernel.apply(plan.put, plan.remove)
            except BaseException:  # given up half way by whoever waited for it: nobody knows how far it got
                self._write_again(plan)
                raise
            self._tell(plan, refused)
            if refused:
                self._keep_for_later(refused, plan)
            else:
                self._retry_seconds = FIRST_RETRY_SECONDS

    def foreign_change(self, event: RouteChanged, *, repair: bool) -> bool:
        """Take in a change that somebody else made; return True if it concerned a route of ours."""
        prefix = self.fib.fold(event)
        if prefix is None:
            return False
        wanted = self.rib.best(prefix)
        if wanted == self.fib.held.get(prefix):
            return False
        deed = "deleted" if event.gone else f"replaced by protocol {event.spec.protocol}"
        self.repairs += repair
        log.warning(
            "route %s was %s by somebody else; %s",
            ip_route_text(prefix, wanted or event.spec, self.names),
            deed,
            "putting it right" if repair else "left as it is (FELIX_REPAIR is off)",
        )
        if repair:
            self.rib.look_again([prefix])
        return True

    def own_change(self, event: RouteChanged) -> None:
        """Watch our own writes in the kernel's words: none may have hit a route that is not ours."""
        hit = not self.fib.ownership.has(event.spec) if event.gone else event.prefix in self.fib.squatted
        if hit:
            self.foreign_touched.append(f"a write of ours hit {ip_route_text(event.prefix, event.spec, self.names)}")
            log.error("%s", self.foreign_touched[-1])

    def lost_device(self, device: int, among: Iterable[Prefix] | None = None) -> None:
        """A device went down or away: its routes, if need be `among` these, are gone, with or without an event."""
        self.rib.look_again(self.fib.forget_device(device, among))

    def retry_now(self) -> None:
        """Something changed that may let refused routes in: try them with the next batch."""
        self.rib.look_again(self.refused)

    def _write_again(self, plan: Plan) -> None:
        before = plan.before()
        for prefix, path in before.items():
            self.fib.refuse(prefix, path)
        self.rib.look_again(before)
        self._wake()

    def _tell(self, plan: Plan, refused: Iterable[Refused]) -> None:
        bad = {refusal.prefix for refusal in refused}
        self.puts += len(plan.put)
        self.removes += len(plan.remove)
        size = len(plan.put) + len(plan.remove)
        level = logging.INFO if size <= SPELLED_OUT else logging.DEBUG
        if log.isEnabledFor(level):
            for verb, routes in (("replace", plan.put), ("del", plan.remove)):
                for prefix, path in routes:
                    if prefix not in bad:
                        log.log(level, "ip route %s %s", verb, ip_route_text(prefix, path, self.names))
        if size > SPELLED_OUT:
            log.info("wrote %d routes: %d put, %d removed", size, len(plan.put), len(plan.remove))

    def _keep_for_later(self, refused: list[Refused], plan: Plan) -> None:
        before = plan.before()
        delay = self._retry_seconds
        self._retry_seconds = min(2 * delay, LAST_RETRY_SECONDS)
        for refusal in refused:
            self.refused[refusal.prefix] = refusal
            self.fib.refuse(refusal.prefix, before[refusal.prefix])
            log.warning(
                "put route %s: %s; next try in %g s",
                ip_route_text(refusal.prefix, refusal.spec, self.names),
                refusal.text,
                delay,
            )
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(delay, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self.retry_now()
        self._wake()

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
