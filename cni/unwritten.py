"""Pods that an agent attached and answered for, and whose records do not show their addresses.

Either it ended before it wrote on them, and they do not name their container; or the status, which counts more than
what is written, has the addresses of the container before until the kubelet has written the new ones. Their devices are
there, labelled with the pod's UID, and their addresses are assigned under the handle of the label. So the next agent
routes to them, and writes what is missing, before it takes a route away. Addresses that another plugin gave are under
no handle: of those the record alone tells.
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
from datastore.names import FIRST_DEVICE, NETWORK, POD_IPS
from ipam.allocator import Allocator
from net.prefix import Prefix

log = logging.getLogger("cni.unwritten")


class UnwrittenPods:
    """Takes up what an agent before this one has left. known: what the agent's watch holds, complete by then."""

    def __init__(self, devices: PodDevices, endpoints: Endpoints, known: Known, allocator: Allocator) -> None:
        self._devices, self._endpoints, self._known, self._allocator = devices, endpoints, known, allocator
        self._done = False

    async def take_up(self) -> list[WorkloadEndpoint]:
        """Return their endpoints, and have written what is not; once: from the first verb on an ADD may be half done.

        Raises Unavailable.
        """
        if self._done or not self._endpoints.are_pods:
            return []
        owned = self._devices.owned()
        missing = await self._assigned(unwritten(owned, self._known.endpoints()))
        found = await self._assigned(misreported(owned, self._known.endpoints()))
        hidden = [endpoint for endpoint, pod in found if not _networks(pod) <= _networks(endpoint)]
        self._done = True
        for endpoint, _ in missing:
            log.info("%s and was not told; it is written on the pod now", _has(endpoint))
            self._endpoints.put_later(endpoint)
        for endpoint in hidden:
            log.info("%s, and its status has those of the container before", _has(endpoint))
        return [*(endpoint for endpoint, _ in missing), *hidden]

    async def _assigned(
        self, pods: Iterable[tuple[OwnedLink, WorkloadEndpoint]]
    ) -> list[tuple[WorkloadEndpoint, WorkloadEndpoint]]:
        """Return the endpoint of each device that has addresses, with what is known of its pod."""
        found = []
        for owned, pod in pods:
            try:
                held = await self._allocator.held(owned.attachment.handle)
            except BadRecord as unread:
                log.error("take up %s of pod %s/%s: %s", owned.name, pod.namespace, pod.spec.pod, unread)
                continue
            if held:
                addresses = sorted(held, key=lambda address: address.version)
                networks = tuple(str(Prefix.host(address.packed)) for address in addresses)
                found.append((_endpoint(owned, pod, networks), pod))
        return found


def unwritten(owned: Iterable[OwnedLink], pods: Iterable[WorkloadEndpoint]) -> list[tuple[OwnedLink, WorkloadEndpoint]]:
    """Return the devices whose pod does not name their container, each with its pod."""
    return [(link, pod) for link, pod in _paired(owned, pods) if pod.spec.container_id != link.attachment.container_id]


def misreported(
    owned: Iterable[OwnedLink], pods: Iterable[WorkloadEndpoint]
) -> list[tuple[OwnedLink, WorkloadEndpoint]]:
    """Return the devices whose pod names their container, but has an address that was not written with that name."""
    return [
        (link, pod)
        for link, pod in _paired(owned, pods)
        if pod.spec.container_id == link.attachment.container_id
        and (written := pod.annotations.get(POD_IPS))
        and not _networks(pod) <= {*written.split(",")}
    ]


def _paired(owned: Iterable[OwnedLink], pods: Iterable[WorkloadEndpoint]) -> list[tuple[OwnedLink, WorkloadEndpoint]]:
    """Return the first device of each pod that has one, with its pod.

    It is made after the older container's was put aside, so it is of the newest container.
    """
    by_uid = {pod.metadata.uid: pod for pod in pods if pod.metadata.uid}
    return [
        (link, pod)
        for link in owned
        if link.attachment.device == FIRST_DEVICE and (pod := by_uid.get(link.pod_uid)) is not None
    ]


def _networks(endpoint: WorkloadEndpoint) -> set[str]:
    return set(map(str, endpoint.spec.ip_networks))


def _has(endpoint: WorkloadEndpoint) -> str:
    spec = endpoint.spec
    return f"pod {endpoint.namespace}/{spec.pod} has {', '.join(map(str, spec.ip_networks))} on {spec.interface_name}"


def _endpoint(owned: OwnedLink, pod: WorkloadEndpoint, networks: tuple[str, ...]) -> WorkloadEndpoint:
    spec = {"container_id": owned.attachment.container_id, "interface_name": owned.name, "ip_networks": networks}
    annotations = {**without_giver(pod.annotations), NETWORK: owned.attachment.network}
    return pod.with_spec(**spec).with_metadata(annotations=annotations, resource_version=None)
