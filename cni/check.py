"""CHECK: is a container attached as its ADD left it? Nothing is changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable

from cni.addresses import Address
from cni.attachment import Attachment, PodRef, describe
from cni.delegation import Delegation
from cni.endpoint_owner import is_of
from cni.endpoints import Endpoints
from cni.errors import CniError, Code
from cni.host_local import delegates
from cni.pod_devices import PodDevices
from cni.pod_network import PodNetwork, requested_network
from cni.request import CniRequest
from cni.result import addresses_of
from cni.settings import CniSettings
from cni.wishes import WITHOUT_IPAM
from datastore.errors import BadRecord
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import IPAM, NETWORK
from ipam.allocator import Allocator

log = logging.getLogger("cni.check")

POLL_SECONDS = 0.05


class CheckVerb:
    """Compares records, prevResult and kernel with what an ADD makes."""

    def __init__(
        self,
        settings: CniSettings,
        allocator: Allocator,
        devices: PodDevices,
        endpoints: Endpoints,
        pod_mtu: Callable[[], int],
        delegation: Delegation,
    ) -> None:
        self._settings, self._allocator, self._devices = settings, allocator, devices
        self._endpoints, self._pod_mtu, self._delegation = endpoints, pod_mtu, delegation

    async def run(self, request: CniRequest, netns: int) -> None:
        """Raises CniError (102) that names every difference, (7) without a prevResult, or DatastoreError."""
        attachment, pod, previous = request.attachment, request.pod, request.network.prev_result
        if previous is None:
            raise CniError(
                Code.INVALID_CONFIGURATION, f"CHECK {describe(attachment, pod)}: the configuration has no prevResult"
            )
        listed = addresses_of(previous, attachment.device) or ()
        try:
            endpoint = await self._endpoints.read(attachment, pod)
            recorded, giver = (endpoint.addresses, endpoint.annotations.get(IPAM)) if endpoint else ((), None)
            reserved = recorded if giver or delegates(request) else await self._allocator.held(attachment.handle)
            differences = record_differences(attachment, pod, endpoint, reserved)
        except BadRecord as unread:  # that says nothing about the pod's traffic
            log.warning("CHECK %s: %s; the kernel is compared with prevResult", describe(attachment, pod), unread)
            recorded, giver, differences = listed, None, []
        if delegates(request) and giver != WITHOUT_IPAM:
            await self._delegation.check(request, netns)
        if not differences:
            name = self._settings.host_name(pod, attachment.device)
            network = requested_network(request, name, recorded, self._pod_mtu())
            if not set(recorded) <= set(listed) or not listed:
                theirs, ours = _listed(listed), _listed(recorded)
                differences.append(f"prevResult gives {attachment.device} {theirs}, the endpoint {ours}")
            differences += await self._converged_differences(network, netns)
        if differences:
            raise CniError(
                Code.DIFFERENT, f"CHECK {describe(attachment, pod)}: {'; '.join(differences)}; nothing was changed"
            )

    async def _converged_differences(self, network: PodNetwork, netns: int) -> list[str]:
        """Return how the kernel differs, once routes that are still being written have had their time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.convergence_seconds
        while True:
            _, differences = self._devices.inspect(network, netns)
            if not differences or loop.time() >= end:
                return differences
            await asyncio.sleep(POLL_SECONDS)


def record_differences(
    attachment: Attachment, pod: PodRef, endpoint: WorkloadEndpoint | None, reserved: Collection[Address]
) -> list[str]:
    """Return where the datastore differs from what an attachment should have in it."""
    if endpoint is None:
        return [f"there is no WorkloadEndpoint for pod {pod.namespace}/{pod.name}"]
    if not is_of(endpoint, attachment):
        network = endpoint.annotations.get(NETWORK, attachment.network)
        whose = f"{endpoint.spec.endpoint} of container {endpoint.spec.container_id} in network {network}"
        return [f"WorkloadEndpoint {endpoint.name} belongs to {whose}"]
    return [
        f"address {address} is not reserved under handle {attachment.handle}"
        for address in endpoint.addresses
        if address not in reserved
    ]


def _listed(addresses: Iterable[Address]) -> str:
    return ", ".join(map(str, addresses)) or "no address"
