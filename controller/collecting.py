"""Giving back what pods and nodes that are gone have left: in whole rounds, and soon after a node was deleted.

An edge between the watch, the collector and the clock. Of a cluster only nodes and claims on blocks are watched, which
change rarely; pods, blocks and handles are read once a round.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from controller.cluster_view import INTERESTS, UNREAD, ClusterView
from controller.configuration import grace_seconds
from controller.figures import figures
from controller.losses import Doubt, lost_addresses, lost_hosts
from controller.report import Work
from datastore.backoff import Backoff
from datastore.errors import DatastoreError
from datastore.notices import Notice
from datastore.record import Resource
from datastore.store import Store
from felix_py.tasks import begun_again
from ipam.allocator import Allocator
from ipam.collector import Collector
from ipam.errors import IpamError
from ipam.leaks import ClusterReading, Collected

log = logging.getLogger("felix.collecting")

SETTLE_SECONDS = 2.0
"""After a node went: it may be made anew at once, and others may go with it."""
LONGEST_PAUSE_SECONDS = 300.0
LOOK_SECONDS = 1.0

KeepConfiguration = Callable[[Resource | None, float], Awaitable[None]]
"""Take the configuration as it is, None: there is none, and the grace period in seconds."""


class Collecting:
    """One leader's work, from nothing known to its end."""

    def __init__(
        self,
        store: Store,
        *,
        grace_seconds: float | None,
        hold_seconds: float,
        keep: KeepConfiguration | None = None,
        settle_seconds: float = SETTLE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """grace_seconds: 0: nothing is ever given back; None: as KubeControllersConfiguration says.

        hold_seconds: as of `Doubt`. keep: has KubeControllersConfiguration as it is to be; None: nobody has.
        """
        self._setting, self._keep, self._configured = grace_seconds, keep, asyncio.Event()
        self._store, self._settle_seconds, self._now = store, settle_seconds, now
        self._collector = Collector(
            store,
            Allocator(store),
            now_ns=lambda: int(now() * 10**9),
            report=self._note,
            doubt=self._judge,
        )
        self._view = ClusterView()
        self._grace_changed = asyncio.Event()
        self._configure()
        self._of_hosts, self._of_addresses = Doubt(hold_seconds), Doubt(hold_seconds)
        self._went = asyncio.Event()
        self._one_round = asyncio.Lock()
        self._notices: frozenset[Notice] = frozenset()
        self._last_round: float | None = None
        self._why: dict[str, str] = {}
        self._given_back = Work()

    @property
    def work(self) -> Work:
        """What has been done, and what holds it up."""
        ago = None if self._last_round is None else self._now() - self._last_round
        return replace(self._given_back, held=tuple(self._why.values()), last_round=ago, unreadable=len(self._notices))

    async def run(self) -> None:
        """Collect until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(begun_again("watching nodes and their claims", self._watch))
            tasks.create_task(begun_again("collecting what leaked", self._whole_rounds))
            tasks.create_task(begun_again("giving back what nodes left", self._rounds_of_nodes))
            if self._keep is not None:
                keeping = partial(self._keep_configuration, self._keep)
                tasks.create_task(begun_again("keeping KubeControllersConfiguration", keeping))

    async def _watch(self) -> None:
        self._view = ClusterView(self._view.guid)
        async for event in self._store.watch(*INTERESTS):
            configuration, paused = self._view.configuration, self._view.paused
            if self._view.fold(event):
                self._went.set()
            if self._view.configuration is not configuration:
                self._configure()
                self._configured.set()
            elif self._view.paused != paused:
                self._configured.set()

    async def _keep_configuration(self, keep: KeepConfiguration) -> None:
        """Have the configuration kept after each change of it, and now and then: who else writes it comes and goes."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_PAUSE_SECONDS):
                    await self._configured.wait()
            self._configured.clear()
            if not self._view.paused:
                await keep(self._view.configuration, self._collector.grace_seconds)

    def _configure(self) -> None:
        before = self._collector.grace_seconds
        self._collector.grace_seconds, wrong = grace_seconds(self._view.configuration, self._setting)
        if wrong:
            log.warning("KubeControllersConfiguration default: %s", wrong)
        if self._collector.grace_seconds != before:
            self._grace_changed.set()
            log.info("what leaked is given back after %g s (0: never)", self._collector.grace_seconds)

    async def _whole_rounds(self) -> None:
        """Look at the whole cluster, at the pace that the grace period asks for, and at once when that changes."""
        while True:
            await self._until_allowed()
            self._grace_changed.clear()
            if await self._round(self._collector.round, self._collector.pause_seconds) is not None:
                self._last_round = self._now()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._collector.pause_seconds):
                    await self._grace_changed.wait()

    async def _rounds_of_nodes(self) -> None:
        """Try again, later each time, where pods of a node that is gone are there yet, or others use its addresses."""
        backoff = Backoff(self._settle_seconds, LONGEST_PAUSE_SECONDS)
        while True:
            await self._until_allowed()
            if not self._view.gone:
                self._say("hosts", "")
                backoff.reset()
                await self._went.wait()
            self._went.clear()
            await asyncio.sleep(self._settle_seconds)
            hosts, pause = self._view.gone, backoff.next()
            if hosts and not self._view.paused and not self._doubt_of_hosts(hosts):
                collected = await self._round(lambda hosts=hosts: self._collector.round_of(hosts), pause)  # type: ignore[misc]
                if collected is not None and collected.anything:
                    backoff.reset()
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._went.wait()
                    backoff.reset()

    async def _until_allowed(self) -> None:
        """Wait until what the datastore says may be acted on."""
        while why := self._view.paused or ("" if self._collector.grace_seconds else "the leak grace period is 0"):
            self._say("paused", why)
            await asyncio.sleep(LOOK_SECONDS)
        self._say("paused", "")

    async def _round(self, collect: Callable[[], Awaitable[Collected]], pause: float) -> Collected | None:
        """Return what one round gave back; None: it failed, and another one comes."""
        async with self._one_round:
            try:
                collected = await collect()
            except (DatastoreError, IpamError) as failure:
                log.warning("collect leaks: %s; next try in %g s", failure, pause)
                return None
        self._given_back = self._given_back.after(collected, self._view.pools.values())
        return collected

    def _doubt_of_hosts(self, hosts: frozenset[str]) -> str:
        lost = lost_hosts(len(hosts), len(self._view.nodes))
        self._of_hosts, why = self._of_hosts.looked(lost, self._now())
        self._say("hosts", why)
        return why

    def _judge(self, reading: ClusterReading) -> str:
        """Count what a whole round has read, and return why nothing of it is to be acted on; "": it is."""
        leaks = reading.leaks
        self._given_back = replace(self._given_back, figures=figures(reading, self._view.pools.values()))
        self._of_addresses, why = self._of_addresses.looked(
            lost_addresses(len(leaks.addresses), leaks.assigned), self._now()
        )
        self._say("addresses", why)
        return why or self._doubt_of_hosts(leaks.gone)

    def _say(self, part: str, why: str) -> None:
        """Take note of why nothing is given back, or that it is again, and log what is new."""
        before = self._why.pop(part, "")
        if why:
            self._why[part] = why
        if why not in ("", UNREAD) and (part == "paused" or not before) and why != before:
            log.warning("nothing is given back: %s", why)
        elif before not in ("", UNREAD) and not why:
            log.info("what held up giving back is over: %s", before)

    def _note(self, notices: tuple[Notice, ...]) -> None:
        for notice in notices:
            if notice not in self._notices:
                log.warning("%s", notice)
        self._notices = frozenset(notices)
