"""DEL: a pod's routes, device, record and addresses go, in this order; and the clean-up that follows.

A DEL fails only if the release can be neither performed nor journaled. Its device is only put out of the way: deleting
one takes the kernel 15 to 35 ms, so that happens in the background. State left by a previous run of this process is
rediscovered from the journal and from the group of retired devices.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

from cni.attacher import Attacher
from cni.attachment import Attachment, PodRef, describe
from cni.delegation import Delegation
from cni.endpoints import Endpoints
from cni.errors import CniError, Code
from cni.host_local import delegates
from cni.journal import Journal, PendingRelease
from cni.journaled_releases import HandleNames, JournaledReleases
from cni.locks import KeyedLock
from cni.pod_devices import OwnedLink, PodDevices
from cni.repeated_releases import LATE_WRITE_SECONDS, RepeatedReleases
from cni.request import CniRequest
from cni.settings import CniSettings
from datastore.backoff import Backoff
from datastore.errors import BadRecord, Conflict, Unavailable
from datastore.fields import Address
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import FIRST_DEVICE, IPAM
from ipam.allocator import Allocator
from ipam.errors import CompanionRefused, Contention
from ipam.names import legacy_pod_handle
from kernel.netlink import KernelError

log = logging.getLogger("cni.delete")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 8.0
"""The pauses between two tries to carry out the journal, while nothing of it can be."""
AWAY_SECONDS = 2.0
"""The last while the datastore is away, which watches look for as often: a node tries one release each time."""
MOST_DETACHED = 1024
"""How many attachments are remembered as detached: a runtime sends the second DEL of one soon."""
GATHER_SECONDS = 0.2
"""How long retired devices wait for more: the kernel deletes many in the time of one."""


class _Seen(NamedTuple):
    """present: a pod's endpoint, as far as it is known. routed: the one whose routes go, as far as there is one."""

    present: WorkloadEndpoint | None
    routed: WorkloadEndpoint | None
    unlabelled_is_ours: bool


class DelVerb:
    """Detaches a container, whatever is left of it, any number of times."""

    def __init__(
        self,
        settings: CniSettings,
        attacher: Attacher,
        devices: PodDevices,
        endpoints: Endpoints,
        cleanup: Cleanup,
        delegation: Delegation,
    ) -> None:
        self._settings, self._attacher, self._devices = settings, attacher, devices
        self._endpoints, self._cleanup, self._delegation = endpoints, cleanup, delegation

    async def run(self, request: CniRequest, netns: int | None) -> None:
        """Detach; the device's name in the container is free at once. netns: None if the runtime has it no more.

        Raises CniError: the release was neither performed nor journaled (11), or not by the plugin that gave the
        addresses (its code).
        """
        attachment, pod = request.attachment, request.pod
        owned = self._owned(request)
        if owned is None and self._cleanup.has_detached(attachment):  # runtimes send each DEL twice
            return
        present, routed, unlabelled_is_ours = await self._seen(attachment, pod)
        await self._detach(routed, owned, netns)
        if owned is None and unlabelled_is_ours:
            self._cleanup.retire_unlabelled(self._settings.host_name(pod, attachment.device))
        failure = await self._delegation.delete(request) if delegates(request) else None
        if failure is not None and present is not None and IPAM not in present.annotations:
            log.warning("%s; its addresses were not that plugin's to give, and it goes all the same", failure)
            failure = None
        pending = PendingRelease(attachment, pod)
        released = await self._cleanup.release_or_journal(pending, present)
        if released and owned is None and (present is None or present.spec.container_id != attachment.container_id):
            self._cleanup.repeat(pending)  # nothing shows that its ADD has heard of what it asked for
        if released and failure is None:
            self._cleanup.detached(attachment)
        if failure is not None:
            raise failure
        log.info("DEL %s: done", describe(attachment, pod))

    async def take_up(self, request: CniRequest, releases: list[PendingRelease]) -> None:
        """Detach a container whose DEL succeeded before this process began, without asking the datastore.

        releases: takes what is to be journaled for it. Nobody waits for its release, and many may come together. A
        device without a label, as of an ADD that was killed before it gave it one, is put aside if the pod's endpoint
        names the container: its runtime may use the namespace again. Raises CniError: the plugin that gave the
        addresses did not release them.
        """
        attachment, pod = request.attachment, request.pod
        owned = self._owned(request)
        await self._detach(self._cleanup.presumed(attachment, pod), owned, None)
        if owned is None and self._endpoints.is_known(attachment, pod):
            self._cleanup.retire_unlabelled(self._settings.host_name(pod, attachment.device))
        failure = await self._delegation.delete(request) if delegates(request) else None
        releases.append(PendingRelease(attachment, pod))
        if failure is not None:
            raise failure

    def _owned(self, request: CniRequest) -> OwnedLink | None:
        name = self._settings.host_name(request.pod, request.attachment.device)
        return self._devices.owned_by(request.attachment, name)

    async def _seen(self, attachment: Attachment, pod: PodRef) -> _Seen:
        with suppress(Unavailable, BadRecord):
            present = await self._endpoints.of(attachment, pod)
            is_ours = present is None or self._endpoints.belongs(present, attachment, pod)
            return _Seen(present, self._cleanup.routed(attachment, pod, present), is_ours)
        return _Seen(None, self._cleanup.presumed(attachment, pod), unlabelled_is_ours=False)

    async def _detach(self, routed: WorkloadEndpoint | None, owned: OwnedLink | None, netns: int | None) -> None:
        """Take away a container's routes and its device, as far as there are any."""
        if routed is not None:
            await self._attacher.detach(routed)
        if owned is not None:
            await self._remove(owned, netns)

    async def _remove(self, owned: OwnedLink, netns: int | None) -> None:
        if netns is None:  # its other end cannot be renamed, nor can the next plugin of this container wait for us
            await self._devices.delete(owned)
            return
        self._cleanup.retire(owned)  # first: the loss of a carrier on a device that is down is no event
        self._devices.free_name(owned, netns)


class Cleanup:
    """Takes away what attachments leave: at once where it can, else from the journal and in the background."""

    def __init__(
        self,
        settings: CniSettings,
        allocator: Allocator,
        devices: PodDevices,
        endpoints: Endpoints,
        journal: Journal,
        locks: KeyedLock,
        repeated: RepeatedReleases | None,
        handle_names: HandleNames | None = None,
    ) -> None:
        """repeated: None where no write is carried out after its client has ended.

        handle_names: None where a handle is read as fast as it is listed.
        """
        self._settings, self._repeated = settings, repeated
        self._detached: OrderedDict[Attachment, None] = OrderedDict()
        self._allocator, self._devices, self._endpoints = allocator, devices, endpoints
        self._journal = journal
        self._retired, self._due = asyncio.Event(), asyncio.Event()
        """Set when there is a device to be deleted, a release to be carried out."""

        def carried_out(
            of: Journal, done: Callable[[Sequence[PendingRelease]], None], retry: float
        ) -> JournaledReleases:
            unrecorded = allocator.unrecorded
            return JournaledReleases(of, locks, endpoints, self.release, done, unrecorded, handle_names, retry)

        self._journaled = carried_out(journal, lambda done: self.repeat(*done), LAST_RETRY_SECONDS)
        self._again = carried_out(repeated.journal, lambda done: None, LATE_WRITE_SECONDS) if repeated else None

    # At once

    def retire(self, owned: OwnedLink) -> None:
        """Take a device out of the way; it is deleted in the background."""
        self._devices.retire(owned)
        self._retired.set()

    def retire_unlabelled(self, name: str) -> None:
        if self._devices.retire_unlabelled(name):
            self._retired.set()

    async def release(
        self, pending: PendingRelease, read: WorkloadEndpoint | None = None, asked: set[str] | None = None
    ) -> bool:
        """Delete the endpoint, unless it is another attachment's, and release the addresses then, or at the same time.

        Return whether nothing is left.

        read: the endpoint as it was read a moment ago, if it was. What the attachment's own handle does not account for
        may be under the handle of old releases of Calico, which goes as well then, unless the pod is another
        container's by now. asked: such handles, which are not looked for again; it takes the one that is looked for. A
        record that cannot be read keeps no pod alive. Raises Unavailable also if the datastore is not taken for the
        cluster's, before or by the end: what was not found there is still assigned in the cluster's.
        """
        self._endpoints.require_cluster()
        nothing_left = await self._release(pending, read, set() if asked is None else asked)
        self._endpoints.require_cluster()
        return nothing_left

    async def _release(self, pending: PendingRelease, read: WorkloadEndpoint | None, asked: set[str]) -> bool:
        attachment, pod = pending
        has_no_other = True
        freed: list[Address] | None = await self._release_together(pending, read)
        if not freed:
            has_no_other = await self._delete_endpoint(pending, read)
            freed = await self.release_handle(attachment.handle, read.addresses if read else ())
        legacy = legacy_pod_handle(pod.namespace, pod.name)
        if not has_no_other or attachment.device != FIRST_DEVICE or legacy in asked or _accounts_for(freed, read):
            return freed is not None
        asked.add(legacy)  # before the answer: if there is none, this release is the one that is repeated
        return await self.release_handle(legacy) is not None and freed is not None

    async def _release_together(self, pending: PendingRelease, read: WorkloadEndpoint | None) -> list[Address]:
        """Delete an attachment's endpoint in one transaction with its addresses, and return those; nothing: not done.

        It is not done where the store has no transactions, another has written meanwhile, or a record cannot be read.
        """
        deletion = self._endpoints.deletion(read, *pending) if read else None
        if read is None or deletion is None:
            return []
        try:
            return await self._allocator.release_handle(pending.attachment.handle, companion=deletion)
        except (BadRecord, CompanionRefused):
            return []

    def detached(self, attachment: Attachment) -> None:
        """Remember that nothing is left of an attachment."""
        self._detached[attachment] = None
        if len(self._detached) > MOST_DETACHED:
            self._detached.popitem(last=False)

    def attaches(self, attachment: Attachment) -> None:
        """Take in that something of an attachment is made from now on."""
        self._detached.pop(attachment, None)

    def has_detached(self, attachment: Attachment) -> bool:
        """Whether this process has detached all of an attachment, and no ADD of it has begun since."""
        return attachment in self._detached

    async def release_handle(self, handle: str, expected: Collection[Address] = ()) -> list[Address] | None:
        """Release what blocks that can be read hold for a handle and return it; None: more is left, which is logged.

        expected: what is known to be assigned under it.
        """
        try:
            return await self._allocator.release_handle(handle, expected)
        except BadRecord as unread:
            log.warning(
                "release %s: %s; what it holds there stays assigned, and is collected when the record can be read",
                handle,
                unread,
            )
            return None

    def presumed(self, attachment: Attachment, pod: PodRef) -> WorkloadEndpoint | None:
        """Return what is known of the endpoint of an attachment while it cannot be read; None: it is another's.

        The agent recognises a newer container's by its id, a label that of another network.
        """
        name = self._settings.host_name(pod, attachment.device)
        if self._devices.holder(name) not in (None, attachment):
            return None
        return self._endpoints.presumed(attachment, pod, name)

    def routed(self, attachment: Attachment, pod: PodRef, present: WorkloadEndpoint | None) -> WorkloadEndpoint | None:
        """Return the endpoint whose routes go with an attachment. present: the one of its pod's name.

        A pod that was deleted before its addresses were written on it is routed to until its DEL.
        """
        if present is not None and self._endpoints.belongs(present, attachment, pod):
            return present
        return self.presumed(attachment, pod) if self._endpoints.are_pods else None

    async def _delete_endpoint(self, pending: PendingRelease, read: WorkloadEndpoint | None) -> bool:
        """Delete an attachment's endpoint; return whether its pod has none then."""
        try:
            return await self._endpoints.delete(*pending, read)
        except BadRecord as unread:
            presumed = self.presumed(*pending)
            if presumed is None:
                log.warning("%s; it is left for the container that has the pod's device", unread)
                return False
            log.warning("%s; it is deleted for %s", unread, describe(*pending))
            await self._endpoints.delete_unread(presumed)
            return True

    async def release_or_journal(self, pending: PendingRelease, read: WorkloadEndpoint | None = None) -> bool:
        """Release now or, from the journal, later; return whether nothing is left now.

        Raises CniError (11): the journal cannot be written either.
        """
        try:
            return await self.release(pending, read)
        except (Unavailable, Conflict, Contention) as why:
            self.journal([pending], f"the datastore did not take it ({why})")
            log.warning("release %s: %s; journaled, to be done when the datastore is back", describe(*pending), why)
            return False

    def journal(self, releases: Sequence[PendingRelease], why: str) -> None:
        """Have releases carried out from the journal. why: not at once. Raises CniError (11): the disk refuses too."""
        try:
            self._journal.add(*releases)
        except OSError as error:
            others = f" and of {len(releases) - 1} more" if len(releases) > 1 else ""
            raise CniError(
                Code.TRY_AGAIN,
                f"release {describe(*releases[0])}{others}: {why}, nor did the journal take it ({error}); its device "
                "is gone, its addresses are not; try again later",
            ) from error
        self._due.set()

    def repeat(self, *releases: PendingRelease) -> None:
        """Have releases carried out once more when no write of their ADDs can be under way any longer."""
        if self._repeated is not None:
            self._repeated.put(releases)

    async def release_journaled(self, container_id: str) -> None:
        """Carry out what the journals hold of a container, whose lock is held, for the last time: it is used again.

        Raises DatastoreError, IpamError.
        """
        if pending := self._journal.pending_of(container_id):
            for error in (await self._journaled.carry_out(pending, [])).values():
                raise error
        if self._repeated is not None:
            try:
                self._repeated.forget(container_id)
            except OSError as error:
                raise Unavailable(
                    f"take the releases that were to be repeated out of their journal: {error}"
                ) from error

    # In the background

    async def run_repeated(self) -> None:
        """Carry out once more what is due for that, until cancelled; nothing where nothing is repeated."""
        if self._repeated is not None and self._again is not None:
            await self._repeated.run(self._again.carry_out_all)

    async def run(self) -> None:
        """Delete retired devices and carry out the journal: at start, after DELs, and until the datastore is back."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._delete_what_is_retired())
            tasks.create_task(self._carry_out_what_is_journaled())

    async def _delete_what_is_retired(self) -> None:
        while True:
            self._retired.clear()
            await self.delete_retired()
            await self._retired.wait()
            await asyncio.sleep(GATHER_SECONDS)

    async def _carry_out_what_is_journaled(self) -> None:
        now = asyncio.get_running_loop().time
        refused, away = (Backoff(FIRST_RETRY_SECONDS, last) for last in (LAST_RETRY_SECONDS, AWAY_SECONDS))
        due_at = now()
        while True:
            self._due.clear()
            if now() >= due_at:
                before = self._journal.pending
                is_away = await self._journaled.carry_out_all()
                left = self._journal.pending
                if not before or left != before:
                    refused.reset()
                    away.reset()
                if done := len({*before}.difference(left)):
                    log.info("%d DELs that waited for the datastore are carried out; %d wait", done, len(left))
                due_at = now() + ((away if is_away else refused).next() if self._journal.pending else 0.0)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due_at if self._journal.pending else None):
                    await self._due.wait()
                    await asyncio.sleep(GATHER_SECONDS)

    async def delete_retired(self) -> None:
        """Delete the devices that were put aside, in a thread."""
        try:
            await asyncio.to_thread(self._devices.delete_retired)
        except KernelError as error:
            log.warning("delete retired devices: %s; next try after the next DEL", error)


def _accounts_for(freed: Sequence[Address] | None, endpoint: WorkloadEndpoint | None) -> bool:
    """Whether what was freed is all that a pod had, as far as is known."""
    return bool(freed) and (endpoint is None or set(endpoint.addresses) <= set(freed or ()))
