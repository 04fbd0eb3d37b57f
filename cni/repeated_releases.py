"""Releases that are carried out once more, as a write of their ADD may have landed after the first time.

An API server goes on with a request whose client has gone, a minute by default (its --request-timeout): for as long as
etcd does not answer, say. So a DEL may find nothing of an assignment that is there a moment later, and that nobody has
heard of. Its release is repeated when that time is over; it is on disk until then, for the agent after this one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Container
from contextlib import suppress

from cni.attachment import describe
from cni.journal import Journal, PendingRelease

log = logging.getLogger("cni.repeated_releases")

LATE_WRITE_SECONDS = 60.0
"""So long an API server may still carry out a write after its client was told nothing."""


class RepeatedReleases:
    """The releases of one process that are due again. Each time counts from when it was last carried out, or read."""

    def __init__(self, journal: Journal) -> None:
        """journal: of these alone."""
        self.journal = journal
        self._due: dict[PendingRelease, float] = {}
        """When each is due, in the event loop's time."""
        self._added = asyncio.Event()

    @property
    def pending(self) -> tuple[PendingRelease, ...]:
        return self.journal.pending

    def put(self, releases: Collection[PendingRelease]) -> None:
        """Have releases that were just carried out repeated. If the disk refuses, none is, which is logged."""
        try:
            self.journal.add(*releases)
        except OSError as error:
            log.error(
                "journal that the release of %s is to be repeated: %s; what its ADD may still be given is released "
                "by the leak collector",
                ", ".join(describe(*one) for one in releases),
                error,
            )
            return
        for one in releases:
            self._put_off(one)

    def forget(self, container_id: str) -> None:
        """Repeat none of a container that is attached again, as its handle is in use then. Raises OSError."""
        releases = self.journal.pending_of(container_id)
        self.journal.remove(releases)
        for one in releases:
            self._due.pop(one, None)

    async def run(self, carry_out: Callable[[Container[PendingRelease]], Awaitable[object]]) -> None:
        """Repeat what is due, until cancelled. carry_out: does it, and takes what it has done out of the journal."""
        for one in self.journal.pending:
            if one not in self._due:  # by the process before this one, or before this task failed
                self._put_off(one)
        while True:
            self._added.clear()
            if due := {one for one, at in self._due.items() if at <= _now()}:
                await carry_out(due)
                self._forget_or_put_off(due)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._due.values(), default=None)):
                    await self._added.wait()

    def _forget_or_put_off(self, due: Collection[PendingRelease]) -> None:
        """Take in what of this has been carried out: the rest is still in the journal."""
        left = {*self.journal.pending}
        for one in due:
            if one in left:
                self._put_off(one)
            else:
                self._due.pop(one, None)

    def _put_off(self, one: PendingRelease) -> None:
        self._due[one] = _now() + LATE_WRITE_SECONDS
        self._added.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
