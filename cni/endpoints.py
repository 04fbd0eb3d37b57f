"""This node's workload endpoints, as the datastore keeps them.

Writes that come together share a transaction, where the store has transactions: ten pods that start together cost one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

from cni.addresses import Address
from cni.attachment import Attachment, PodRef, describe
from cni.endpoint_owner import is_of, is_of_pod
from cni.endpoint_writer import EndpointWriter
from cni.errors import CniError, Code
from cni.known import Known
from datastore.cas import ATTEMPTS, found_or_none
from datastore.errors import AlreadyExists, BadRecord, Conflict, DatastoreError, NotFound, Unavailable
from datastore.group_commit import Batcher
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import FIRST_DEVICE, NETWORK, POD_IPS, workload_endpoint_name
from datastore.store import Create, Delete, Store, Update

log = logging.getLogger("cni.endpoints")

_ALL = "endpoints"


class Endpoints:
    """Get, put and delete, each by compare-and-swap."""

    def __init__(
        self, store: Store, node: str, known: Known | None = None, held_back: Callable[[], str] = lambda: ""
    ) -> None:
        """known: what the agent's watch holds; None: all is read. held_back: why what it holds is of before, if so."""
        self._store, self._node, self._known = store, node, known or Known(node)
        self._held_back = held_back
        self.are_pods = not store.atomic
        """Whether an endpoint is its pod, which others make and delete."""
        self.writer = EndpointWriter(store, held_back)
        """Of those that are pods, after their ADD."""
        self._writes: Batcher[str, Create | Update | Delete, None] = Batcher(self._write)
        self._clusters: Batcher[str, None, tuple[ClusterInformation | None, Node | None]] = Batcher(self._read_cluster)

    async def get(self, pod: PodRef, device: str) -> WorkloadEndpoint | None:
        """Return the stored endpoint of a pod's device, whichever container and network it is of. Raises BadRecord."""
        if self.are_pods and device != FIRST_DEVICE:
            return None
        name = workload_endpoint_name(self._node, pod.name, endpoint=device)
        return await found_or_none(self._store.get(WorkloadEndpoint, name, pod.namespace))

    async def read(self, attachment: Attachment, pod: PodRef) -> WorkloadEndpoint | None:
        """Return the endpoint of a pod's device: the attachment's own while it waits to be written, else get it.

        Raises BadRecord.
        """
        return self.writer.of(attachment) or await self.get(pod, attachment.device)

    async def of(self, attachment: Attachment, pod: PodRef) -> WorkloadEndpoint | None:
        """Return the same, as the watch holds it if the watch knows this very pod or container. Raises BadRecord."""
        known = self.writer.of(attachment) or self._known.endpoint(pod, attachment.device)
        if known is None and not self.are_pods:
            known = self._known.attached(attachment, pod)
        return known or await self.get(pod, attachment.device)

    def is_known(self, attachment: Attachment, pod: PodRef) -> bool:
        """Whether the watch holds the endpoint of a pod's device as this attachment's."""
        return self._known.attached(attachment, pod) is not None

    async def left_by(self, attachments: Iterable[Attachment], pod: PodRef) -> WorkloadEndpoint | None:
        """Get the endpoint of a pod these attachments of which end: of none of them anything is written later.

        Raises BadRecord.
        """
        for attachment in attachments:
            await self.writer.drop(attachment)
        return await self.get(pod, FIRST_DEVICE)

    async def put(self, endpoint: WorkloadEndpoint, *, at_once: bool = False) -> None:
        """Write an endpoint, over any of the same name, readable or not: its container is the newest.

        One that is a pod, known by its UID, is written later, unless nothing but its record would show its addresses.
        Raises Conflict: it lost ATTEMPTS races in a row.
        """
        if self.are_pods and endpoint.metadata.uid and not at_once:
            self.put_later(endpoint)
            return
        await self._put(endpoint)
        if self.are_pods:
            self._known.wrote(endpoint)

    def put_later(self, endpoint: WorkloadEndpoint) -> None:
        """Have an endpoint that is a pod written on it by `writer`; from now on it counts as written here."""
        self._known.wrote(endpoint)
        self.writer.put(endpoint)

    def creation(self, endpoint: WorkloadEndpoint) -> Create | None:
        """Return what writes an endpoint that is new in the transaction that assigns its addresses.

        None: it is written by `put`, later.
        """
        return None if self.are_pods else Create(endpoint)

    def deletion(self, endpoint: WorkloadEndpoint, attachment: Attachment, pod: PodRef) -> Delete | None:
        """Return what deletes an attachment's endpoint, as it was read, in the transaction that releases its addresses.

        None: it is to be deleted before, or is another's.
        """
        return None if self.are_pods or not self.belongs(endpoint, attachment, pod) else Delete(endpoint)

    async def _put(self, endpoint: WorkloadEndpoint) -> None:
        for _ in range(ATTEMPTS):
            try:
                return await self._writes.submit(_ALL, Create(endpoint))
            except AlreadyExists:
                pass
            try:
                there = await self._store.get(WorkloadEndpoint, endpoint.name, endpoint.namespace)
                over = endpoint.with_metadata(resource_version=there.revision, uid=there.metadata.uid)
                return await self._writes.submit(_ALL, Update(over))
            except BadRecord as unread:
                log.warning("%s; it is written anew", unread)
                await self.delete_unread(endpoint)
            except (NotFound, Conflict):
                continue
        raise Conflict(f"write WorkloadEndpoint {endpoint.namespace}/{endpoint.name}: lost {ATTEMPTS} races in a row")

    async def delete(self, attachment: Attachment, pod: PodRef, read: WorkloadEndpoint | None = None) -> bool:
        """Delete an attachment's endpoint, and no other's; return whether the pod has none then.

        read: as it was read a moment ago. Raises BadRecord: nothing says whose it is.
        """
        for _ in range(ATTEMPTS):
            present = read or await self.read(attachment, pod)
            if present is None or not self.belongs(present, attachment, pod):
                return present is None
            self._known.deletes(present)
            await self.writer.drop(attachment)
            if self.are_pods and not _is_written_on(present):  # as after an ADD that was refused
                return True
            try:
                await self._writes.submit(_ALL, Delete(present))
                return True
            except (NotFound, Conflict):
                read = None  # another writer was faster: read again whose it is
        raise Conflict(f"delete the WorkloadEndpoint of {pod.namespace}/{pod.name}: lost {ATTEMPTS} races in a row")

    def belongs(self, endpoint: WorkloadEndpoint, attachment: Attachment, pod: PodRef) -> bool:
        """Whether an endpoint is this attachment's, and not of a later pod of the same name."""
        anothers = self.are_pods and pod.uid and endpoint.metadata.uid and not is_of_pod(endpoint, pod)
        return is_of(endpoint, attachment) and not anothers

    async def delete_unread(self, named: WorkloadEndpoint) -> None:
        """Delete the endpoint that has this one's name, whatever its record holds."""
        with suppress(NotFound):
            await self._writes.submit(_ALL, Delete(named))

    def presumed(self, attachment: Attachment, pod: PodRef, device: str) -> WorkloadEndpoint:
        """Return what is known of an endpoint that cannot be read: whose it is, not its addresses.

        device: the name of the host's end.
        """
        return WorkloadEndpoint.make(
            workload_endpoint_name(self._node, pod.name, endpoint=attachment.device),
            namespace=pod.namespace,
            annotations={NETWORK: attachment.network},
            node=self._node,
            pod=pod.name,
            endpoint=attachment.device,
            containerID=attachment.container_id,
            interfaceName=device,
        )

    def require_room(self, attachment: Attachment, pod: PodRef) -> None:
        """Raises CniError (7): where pods are the endpoints, each has addresses of one device, as in Calico.

        An agent that starts anew would not know the routes of another, nor would the pod's own addresses stay on it.
        """
        if self.are_pods and attachment.device != FIRST_DEVICE:
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"ADD {describe(attachment, pod)}: on Kubernetes a pod has one attachment to networks of this plugin, "
                f"its {FIRST_DEVICE}, since its record is the pod itself; make network {attachment.network} the pod's "
                "first, or give it another plugin; nothing was attached",
            )

    def require_unused(self, pod: PodRef, addresses: Collection[Address]) -> None:
        """Raises CniError (7): another pod of this node has one of these addresses, which nothing reserves."""
        if held := self._known.held_by_others(pod, addresses):
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"ADD of pod {pod.namespace}/{pod.name}: its annotation asks for {held}; packets would reach one of "
                "the two; nothing was attached",
            )

    def require_cluster(self) -> None:
        """Raises Unavailable: the datastore is not taken for the cluster's: what it lacks is not gone."""
        if why := self._held_back():
            raise Unavailable(why)

    async def require_ready(self) -> None:
        """Refuse while the datastore is held by an administrator, for an upgrade say, as every client of Calico's does.

        And while this node has no Node: no other would know the way to its pods; and while the datastore is not taken
        for the cluster's. What the watch does not hold is read, once for all requests that come together. Raises
        CniError (11).
        """
        if why := self._held_back():
            raise CniError(Code.TRY_AGAIN, f"{why}; no address is given meanwhile; try again later")
        cluster, node = self._known.cluster, self._known.node
        if cluster is None or node is None:
            cluster, node = await self._clusters.submit(_ALL, None)
        if node is None:
            raise CniError(
                Code.TRY_AGAIN,
                f"there is no Node {self._node}: no other node would know the way to a pod here, so no address is "
                "given; try again later",
            )
        if cluster is None:
            raise CniError(
                Code.TRY_AGAIN,
                "there is no ClusterInformation default: the datastore is not set up yet; try again later",
            )
        if not cluster.spec.datastore_ready:
            raise CniError(
                Code.TRY_AGAIN,
                "ClusterInformation default says datastoreReady false: no address is given; try again later",
            )

    async def _read_cluster(
        self, key: str, requests: Sequence[None]
    ) -> Sequence[tuple[ClusterInformation | None, Node | None]]:
        del key
        cluster, node = await asyncio.gather(
            found_or_none(self._store.get(ClusterInformation, "default")),
            found_or_none(self._store.get(Node, self._node)),
        )
        return [(cluster, node)] * len(requests)

    async def _write(self, key: str, writes: Sequence[Create | Update | Delete]) -> Sequence[Exception | None]:
        """Carry all out in one transaction; if one of them is refused, each on its own."""
        del key
        if self._store.atomic:
            try:
                await self._store.write(*writes)
                return [None] * len(writes)
            except (AlreadyExists, NotFound, Conflict) as refusal:
                if len(writes) == 1:
                    return [refusal]
        return await asyncio.gather(*map(self._write_alone, writes))

    async def _write_alone(self, write: Create | Update | Delete) -> Exception | None:
        try:
            await self._store.write(write)
        except DatastoreError as refusal:
            return refusal
        return None


def _is_written_on(pod: WorkloadEndpoint) -> bool:
    """Whether a pod that is its endpoint shows an attachment; one that has finished does not show its addresses."""
    return bool(pod.spec.container_id or pod.spec.ip_networks or pod.annotations.get(POD_IPS))
