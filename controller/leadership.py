"""Standing for election, and working while elected.

An edge: it reads and writes the Lease. Before the time of a leader is over its work is cancelled and has ended; what
it may still have under way is refused by `FencedStore`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from controller.election import Candidate
from datastore.backoff import JITTER
from datastore.cas import LOST_RACE, found_or_none
from datastore.errors import DatastoreError
from datastore.kinds.lease import Lease
from datastore.store import Store

log = logging.getLogger("felix.leadership")

LONGEST_STEP_SECONDS = 5.0
GIVE_BACK_SECONDS = 2.0


def clock() -> float:
    """Return seconds from any beginning, also those that the host was suspended for."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leadership:
    """One process's part in the election."""

    def __init__(
        self,
        store: Store,
        candidate: Candidate,
        *,
        now: Callable[[], float] = clock,
        wall_ns: Callable[[], int] = time.time_ns,
        randomly: Callable[[], float] = random.random,
    ) -> None:
        """randomly: a number from 0 to 1."""
        self._store, self._candidate = store, candidate
        self._now, self._wall_ns, self._randomly = now, wall_ns, randomly
        self._heard_at: float | None = None

    @property
    def leads(self) -> bool:
        """Whether this process may act now."""
        return self._candidate.leads(self._now())

    @property
    def seconds_left(self) -> float:
        """For how long it may still act if it cannot renew; 0: it may not."""
        return max(0.0, self._candidate.leads_until - self._now())

    @property
    def leader(self) -> str:
        """Who holds the Lease, as last seen; "": nobody, or it is not known."""
        lease = self._candidate.lease
        return (lease.spec.holder or "") if lease else ""

    @property
    def heard_seconds_ago(self) -> float | None:
        """How long ago the store told what the Lease is, and took what was to be written; None: it has not yet."""
        return None if self._heard_at is None else self._now() - self._heard_at

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work whenever this process leads, until cancelled; the Lease is given back then, once the work has ended."""
        try:
            while True:
                await self._until_elected()
                log.info("leading as %s", self._candidate.identity)
                await self._while_elected(work)
                why = "could not be renewed in time" if self._candidate.holds else f"is {self._whose()}"
                log.warning("no longer leading: the Lease %s; all work has ended", why)
        finally:
            await self._give_back()

    async def _until_elected(self) -> None:
        told = None
        while not self.leads:
            await self._step(LONGEST_STEP_SECONDS)
            if not self.leads:
                if self.leader != told:
                    told = self.leader
                    log.info("standing by: the Lease is %s", self._whose())
                await self._pause()

    async def _while_elected(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work until the Lease is lost, or could not be renewed in time. Raises what the work does."""
        working, keeping = asyncio.ensure_future(work()), asyncio.create_task(self._keep())
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            keeping.cancel()
            working.cancel()
            await asyncio.wait({working, keeping})
        if not working.cancelled():
            working.result()

    async def _keep(self) -> None:
        """Renew the Lease; return when the time to act is over."""
        while (left := self.seconds_left) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._pause()
                    await self._step(LONGEST_STEP_SECONDS)

    async def _step(self, seconds: float) -> None:
        """Look at the Lease, and write it if that is this process's to do. Failures are logged and tried again."""
        try:
            async with asyncio.timeout(seconds):
                if not self._candidate.holds:
                    await self._look()
                try:
                    await self._write()
                except LOST_RACE as lost:
                    log.info("%s; the Lease is read again", lost)
                    await self._look()
                self._heard_at = self._now()
        except (DatastoreError, TimeoutError) as failure:
            reason = str(failure) or f"no answer within {seconds:g} s"
            until = f"; without, this process acts for {self.seconds_left:.0f} s more" if self.leads else ""
            log.warning("renew or take the Lease %s: %s; it is tried again%s", self._candidate.name, reason, until)

    async def _write(self) -> None:
        asked_at = self._now()
        if (lease := self._candidate.write(asked_at, self._wall_ns())) is not None:
            stored = await (self._store.update(lease) if lease.revision else self._store.create(lease))
            self._candidate = self._candidate.wrote(stored, asked_at, self._now())

    async def _look(self) -> None:
        reading = self._store.get(Lease, self._candidate.name, self._candidate.namespace)
        lease = await found_or_none(reading)
        self._candidate = self._candidate.saw(lease, self._now())

    async def _pause(self) -> None:
        await asyncio.sleep(self._candidate.terms.retry_seconds * (1 + JITTER * self._randomly()))

    async def _give_back(self) -> None:
        """Let another lead at once. It is read first: the last write's answer may not have been waited for."""
        if not self._candidate.holds:
            return
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await self._look()
                if (lease := self._candidate.given_back(self._wall_ns())) is not None:
                    await self._store.update(lease)
                    log.info("gave the Lease %s back", lease.name)
        except (DatastoreError, TimeoutError) as failure:
            reason = str(failure) or f"no answer within {GIVE_BACK_SECONDS:g} s"
            log.warning("give the Lease back: %s; another takes it when its time is over", reason)

    def _whose(self) -> str:
        return f"held by {self.leader}" if self.leader else "held by nobody"
