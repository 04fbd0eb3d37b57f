"""Pods that an agent attached and answered for, and that do not name their container: it ended before it wrote on them.

Their devices are there, labelled with the pod's UID, and their addresses are assigned under the handle of the label. So
the next agent routes to them, and writes what is missing, before it takes a route away.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cni.endpoint_owner import without_giver
from cni.endpoints import Endpoints
from cni.known import Known
from cni.pod_devices import OwnedLink, PodDevices
from datastore.errors import BadRecord
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import FIRST_DEVICE, NETWORK
from ipam.allocator import Allocator
from net.prefix import Prefix

log = logging.getLogger("cni.unwritten")


class UnwrittenPods:
    """Takes up what an agent before this one has left. known: what the agent's watch holds, complete by then."""

    def __init__(self, devices: PodDevices, endpoints: Endpoints, known: Known, allocator: Allocator) -> None:
        self._devices, self._endpoints, self._known, self._allocator = devices, endpoints, known, allocator
        self._done = False

    async def take_up(self) -> list[WorkloadEndpoint]:
        """Have their endpoints written; return them, once: from the first verb on an ADD may be half done.

        Raises Unavailable.
        """
        if self._done or not self._endpoints.are_pods:
            return []
        found = []
        for owned, pod in unwritten(self._devices.owned(), self._known.endpoints()):
            try:
                held = await self._allocator.held(owned.attachment.handle)
            except BadRecord as unread:
                log.error("take up %s of pod %s/%s: %s", owned.name, pod.namespace, pod.spec.pod, unread)
                continue
            if held:
                addresses = sorted(held, key=lambda address: address.version)
                found.append(_endpoint(owned, pod, tuple(str(Prefix.host(address.packed)) for address in addresses)))
                log.info(
                    "pod %s/%s has %s on %s and was not told; it is written on the pod now",
                    pod.namespace,
                    pod.spec.pod,
                    ", ".join(map(str, addresses)),
                    owned.name,
                )
        self._done = True
        for endpoint in found:
            self._endpoints.put_later(endpoint)
        return found


def unwritten(owned: Iterable[OwnedLink], pods: Iterable[WorkloadEndpoint]) -> list[tuple[OwnedLink, WorkloadEndpoint]]:
    """Return the devices whose pod does not name their container, each with its pod.

    A pod's first device is made after the older container's was put aside, so it is of the newest container.
    """
    by_uid = {pod.metadata.uid: pod for pod in pods if pod.metadata.uid}
    return [
        (link, pod)
        for link in owned
        if link.attachment.device == FIRST_DEVICE
        and (pod := by_uid.get(link.pod_uid)) is not None
        and pod.spec.container_id != link.attachment.container_id
    ]


def _endpoint(owned: OwnedLink, pod: WorkloadEndpoint, networks: tuple[str, ...]) -> WorkloadEndpoint:
    spec = {"container_id": owned.attachment.container_id, "interface_name": owned.name, "ip_networks": networks}
    annotations = {**without_giver(pod.annotations), NETWORK: owned.attachment.network}
    return pod.with_spec(**spec).with_metadata(annotations=annotations, resource_version=None)
