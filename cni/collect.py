"""GC: every attachment that the runtime does not list goes, with whatever record or device still shows it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from cni.attacher import Attacher
from cni.attachment import Attachment, PodRef, describe
from cni.delegation import Delegation
from cni.delete import Cleanup
from cni.endpoints import Endpoints
from cni.errors import CniError, Code
from cni.host_local import delegates
from cni.journal import PendingRelease
from cni.locks import KeyedLock, container_key, lock_keys
from cni.pod_devices import PodDevices
from cni.request import CniRequest
from cni.settings import CniSettings
from datastore.errors import BadRecord
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import NETWORK
from datastore.store import Interest, Store
from ipam import block as blocks
from ipam.names import parse_pod_handle

log = logging.getLogger("cni.collect")


class GcVerb:
    """Removes this network's stale attachments, each with its locks held."""

    def __init__(
        self,
        settings: CniSettings,
        store: Store,
        attacher: Attacher,
        devices: PodDevices,
        endpoints: Endpoints,
        cleanup: Cleanup,
        locks: KeyedLock,
        delegation: Delegation,
    ) -> None:
        self._settings, self._store, self._attacher = settings, store, attacher
        self._devices, self._endpoints, self._cleanup, self._locks = devices, endpoints, cleanup, locks
        self._delegation = delegation

    async def run(self, request: CniRequest) -> None:
        """Remove what is stale, and go on after errors. Raises CniError (11), which names them all, or DatastoreError.

        A runtime that gives no list, as before CNI 1.1.0, has nothing removed.
        """
        if request.valid_attachments is None:
            return
        network, failures = request.network.name, []
        stale = stale_attachments(
            self._settings.node,
            network,
            request.valid_attachments,
            devices=[owned.attachment for owned in self._devices.owned()],
            existing=(await self._store.list(IPAMBlock)).objects,
            endpoints=(await self._store.list(Interest(WorkloadEndpoint, node=self._settings.node))).objects,
        )
        for pending in stale:
            if self._locks.users(container_key(pending.attachment)):
                continue  # being attached or detached at this moment, so not forgotten
            try:
                async with self._locks.hold(*lock_keys(*pending)):
                    await self._collect(request, pending)
            except Exception as error:
                failures.append(f"{describe(*pending)}: {error}")
        if failures:
            raise CniError(
                Code.TRY_AGAIN,
                f"GC of network {network}: {len(failures)} of {len(stale)} stale attachments are left: "
                + "; ".join(failures),
            )

    async def _collect(self, request: CniRequest, pending: PendingRelease) -> None:
        attachment, pod = pending
        try:
            ours = self._cleanup.routed(attachment, pod, await self._endpoints.read(attachment, pod))
        except BadRecord:
            ours = self._cleanup.presumed(attachment, pod)
        if ours is not None:
            await self._attacher.detach(ours)
        if owned := self._devices.owned_by(attachment, self._settings.host_name(pod, attachment.device)):
            self._cleanup.retire(owned)
        await self._cleanup.release(pending)
        if delegates(request):
            failure = await self._delegation.delete(replace(request, attachment=attachment, pod=pod))
            if failure is not None:
                raise failure
        log.info("GC: %s removed", describe(*pending))


def stale_attachments(
    node: str,
    network: str,
    valid: frozenset[tuple[str, str]],
    *,
    devices: Iterable[Attachment],
    existing: Iterable[IPAMBlock],
    endpoints: Iterable[WorkloadEndpoint],
) -> list[PendingRelease]:
    """Return what labelled devices, address blocks and endpoints of this node show of attachments not in `valid`.

    An endpoint that does not name its network, such as one of Calico's, is of the network of its container's handle;
    without an address under any handle it is taken for this network's. An endpoint without a container is left alone:
    nothing can say that it is stale.
    """
    found: dict[Attachment, PodRef | None] = {one: None for one in devices if one.network == network}
    networks: dict[tuple[str, str], str] = {}
    listed = {Attachment(network, *one).handle: Attachment(network, *one) for one in valid}
    for handle, pod in _handles(node, existing):
        traced = listed.get(handle) or Attachment(*parse_pod_handle(handle))
        networks[traced[1:]] = traced.network
        if traced.network == network:
            found[traced] = pod
    for endpoint in endpoints:
        if endpoint.spec.node == node and endpoint.spec.container_id:
            end = endpoint.spec.container_id, endpoint.spec.endpoint
            named = endpoint.annotations.get(NETWORK) or networks.get(end, network)
            if named == network:
                found[Attachment(network, *end)] = PodRef(endpoint.namespace or "default", endpoint.spec.pod or "")
    return [
        PendingRelease(one, pod or PodRef("default", one.container_id))
        for one, pod in found.items()
        if one[1:] not in valid
    ]


def _handles(node: str, existing: Iterable[IPAMBlock]) -> Iterator[tuple[str, PodRef]]:
    """Yield each handle under which a pod of this node has an address, and the pod."""
    for block in existing:
        for allocation in blocks.allocations(block):
            attributes = allocation.attributes
            if allocation.handle and attributes.get("node") == node and "pod" in attributes:
                yield allocation.handle, PodRef(attributes.get("namespace", "default"), attributes["pod"])
