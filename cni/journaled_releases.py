"""Releases that could not be carried out at once, carried out from their journal: side by side, pod by pod.

A kubelet makes one sandbox after the other for a pod that is refused, so an agent that was away for a minute, or whose
datastore was, finds a hundred of few pods. What those of a pod have in common is asked once, and which of their handles
there are is asked once for all, where the whole cluster has not too many.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Protocol, TypeAlias

from cni.attachment import describe
from cni.endpoints import Endpoints
from cni.journal import Journal, PendingRelease
from cni.locks import KeyedLock, container_key, pod_key
from datastore.errors import DatastoreError, Forbidden, Invalid, Unavailable
from datastore.kinds.pods import WorkloadEndpoint
from ipam.errors import IpamError
from ipam.names import legacy_pod_handle
from ipam.unrecorded_handles import UnrecordedHandles

log = logging.getLogger("cni.journaled_releases")

AT_ONCE = 8
"""How many releases are carried out side by side."""
HANDLES_A_RELEASE = 20
"""All handles are listed where there are at most so many for each release: one in a list costs a fiftieth of a read."""
FEW = 2
"""So many releases ask for less than the list."""

HandleNames: TypeAlias = Callable[[int], Awaitable[Collection[str] | None]]
"""Returns the names of all handles that there are; None: there are more than so many, or it is not known."""


class CarryOut(Protocol):
    """Carries a release out: `Cleanup.release` of cni.delete. Raises DatastoreError, IpamError."""

    async def __call__(self, pending: PendingRelease, read: WorkloadEndpoint | None, asked: set[str], /) -> object: ...


class JournaledReleases:
    """The journal of one process, as it is carried out."""

    def __init__(
        self,
        journal: Journal,
        locks: KeyedLock,
        endpoints: Endpoints,
        release: CarryOut,
        repeat: Callable[[Sequence[PendingRelease]], None],
        unrecorded: UnrecordedHandles,
        handle_names: HandleNames | None,
        retry_seconds: float,
    ) -> None:
        """repeat: takes what was carried out, before it leaves the journal. handle_names: None: each is read.

        retry_seconds: after how long at most they are tried again.
        """
        self._journal, self._locks, self._endpoints = journal, locks, endpoints
        self._release, self._repeat = release, repeat
        self._unrecorded, self._handle_names = unrecorded, handle_names
        self._retry_seconds = retry_seconds
        self._room = asyncio.Semaphore(AT_ONCE)
        self._refused: PendingRelease | None = None
        """The one that the datastore did not take last."""
        self._unlisted = False
        """Whether handles could not be listed when they were last to be."""

    async def carry_out_all(self, due: Container[PendingRelease] | None = None) -> bool:
        """Try each that is due once, until one finds the datastore away; the next time begins behind that one.

        So one that cannot be carried out holds up no other, also where it alone is refused, for a lacking right say.
        Whether the datastore answers is seen from a list of the handles, where many wait, else from the first release,
        which is tried alone; the others are tried side by side. Return whether the datastore is away. due: None: all.
        """
        listed = [one for one in self._journal.pending if due is None or one in due]
        if not listed:
            return False
        first = listed.index(self._refused) + 1 if self._refused in listed else 0
        ordered = (*listed[first:], *listed[:first])
        stops = list[Unavailable]()
        with self._unrecorded.among(_handles(ordered)) as take_in:
            if self._unlisted or not await self._list_handles(ordered, take_in, stops):
                await self._try(ordered[:1], stops)
                ordered = ordered[1:]
                if self._unlisted and not stops:
                    await self._list_handles(ordered, take_in, [])
            if not stops:
                await self._try_all(ordered, stops)
        return any(not isinstance(stop, Forbidden) for stop in stops)

    async def carry_out(
        self, journaled: Sequence[PendingRelease], stops: list[Unavailable]
    ) -> dict[PendingRelease, DatastoreError | IpamError]:
        """Release what is journaled, side by side, with its locks held; return what failed, which stays journaled.

        stops: gets each error that says that the datastore is away; once there is one, nothing more is tried. Raises
        Unavailable when the journal cannot be written: a release that stays in it would be repeated, on a handle that
        is in use by then, if its container went on.
        """
        done, failed = list[PendingRelease](), dict[PendingRelease, DatastoreError | IpamError]()
        asked = set[str]()
        try:
            present = await self._pod_of(journaled)
        except Unavailable as unread:
            stops.append(unread)
            return dict.fromkeys(journaled, unread)

        async def carry_out(pending: PendingRelease) -> None:
            async with self._room:
                if stops:
                    return
                try:
                    await self._release(pending, present, asked)
                except (DatastoreError, IpamError) as error:
                    failed[pending] = error
                    if isinstance(error, Unavailable):
                        stops.append(error)
                else:
                    done.append(pending)

        try:
            async with asyncio.TaskGroup() as tasks:
                for pending in journaled:
                    tasks.create_task(carry_out(pending))
        finally:
            if done:
                self._repeat(done)
                try:
                    self._journal.remove(done)
                except OSError as error:
                    raise Unavailable(f"take {len(done)} releases out of the journal: {error}") from error
        return failed

    async def _list_handles(
        self, waiting: Sequence[PendingRelease], take_in: Callable[[Collection[str]], None], stops: list[Unavailable]
    ) -> bool:
        """Find out which of the handles of what waits have a record, if that is less than to ask for each.

        Return whether the datastore was asked. take_in: takes the names of all records. stops: gets the error of a
        datastore that is away; the next time it is asked for a release before, as a list alone may fail.
        """
        if self._handle_names is None or len(waiting) <= FEW:
            return False
        self._unlisted = True
        try:
            names = await self._handle_names(HANDLES_A_RELEASE * len(waiting))
            self._endpoints.require_cluster()
        except DatastoreError as failure:
            if isinstance(failure, Unavailable) and not isinstance(failure, Forbidden):
                log.debug("the journal's %d releases: %s", len(self._journal.pending), failure)
                stops.append(failure)
                return True
            log.info("%s; each handle in the journal is asked for", failure)
            return False
        self._unlisted = False
        if names is not None:
            take_in(names)
        return True

    async def _try_all(self, waiting: Iterable[PendingRelease], stops: list[Unavailable]) -> None:
        of_pods: defaultdict[tuple[str, str], list[PendingRelease]] = defaultdict(list)
        for pending in waiting:
            of_pods[pending.pod[:2]].append(pending)
        async with asyncio.TaskGroup() as tasks:
            for of_pod in of_pods.values():
                tasks.create_task(self._try(of_pod, stops))

    async def _pod_of(self, journaled: Sequence[PendingRelease]) -> WorkloadEndpoint | None:
        """Return the endpoint of the pod that several are of, where it is that pod; None: each is to read it itself.

        Nothing of theirs is written on it from then on. Raises Unavailable.
        """
        names = {one.pod[:2] for one in journaled}
        if not self._endpoints.are_pods or len(journaled) == 1 or len(names) != 1:
            return None
        self._endpoints.require_cluster()
        async with self._room:
            with suppress(Invalid):  # each says so, and what becomes of it
                return await self._endpoints.left_by([one.attachment for one in journaled], journaled[0].pod)
        return None

    async def _try(self, of_pod: Sequence[PendingRelease], stops: list[Unavailable]) -> None:
        """Carry out a pod's journaled releases, as far as they can be. stops: what keeps others from being tried."""
        attachments = sorted((one.attachment for one in of_pod), key=attrgetter("container_id"))
        keys = (*dict.fromkeys(map(container_key, attachments)), pod_key(of_pod[0].pod))
        try:
            async with self._locks.hold(*keys):
                # An ADD of the same container may have been first, and the handle is in use again.
                journaled = set(self._journal.pending)
                failed = await self.carry_out([one for one in of_pod if one in journaled], stops)
        except Unavailable as unwritten:
            stops.append(unwritten)
            return
        for pending, error in failed.items():
            if isinstance(error, Unavailable):
                self._refused = pending
                log.debug("the journal's %d releases: %s", len(self._journal.pending), error)
            else:
                log.warning(
                    "release %s, from the journal: %s; next try in about %g s at most",
                    describe(*pending),
                    error,
                    self._retry_seconds,
                )


def _handles(releases: Collection[PendingRelease]) -> set[str]:
    """Return the handles that releases look for: each its own, and its pod's of old releases."""
    own = {attachment.handle for attachment, _ in releases}
    return own | {legacy_pod_handle(pod.namespace, pod.name) for _, pod in releases}
