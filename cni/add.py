"""ADD: a pod gets addresses, a device, its routes and its record, in this order.

Where the datastore has transactions, the record is written in that of the addresses, if the pod has none yet. So the
device's MAC is chosen before there is one. An agent that is killed then leaves a record without a device, which shows
the runtime's DEL, or a repeated ADD, what is left.

What was done is undone in reverse if a later step fails. A repeated ADD is answered with the first one's result.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from msgspec.structs import replace

from cni.addresses import Address
from cni.attacher import Attacher
from cni.attachment import Attachment, PodRef, describe
from cni.delegation import Delegation
from cni.delete import Cleanup
from cni.endpoint_owner import is_of, without_giver
from cni.endpoints import Endpoints
from cni.errors import CniError, Code
from cni.host_local import HOST_LOCAL, delegates, refuse_wishes
from cni.journal import PendingRelease
from cni.namespaces import Namespaces
from cni.pod_devices import PodDevices, VethPair
from cni.pod_network import PodNetwork, gateway_of, requested_network
from cni.request import CniRequest
from cni.result import CniInterface, CniResult, render
from cni.settings import CniSettings
from cni.veth import any_mac
from cni.wishes import WITHOUT_IPAM, AddressRequest, address_request, asks_without_ipam, hardware_address
from datastore.errors import BadRecord, Unavailable
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import IPAM, NETWORK, workload_endpoint_name
from datastore.store import Create
from ipam.allocator import AddressesWanted, Allocator
from ipam.errors import CompanionRefused, HandleInUse
from ipam.names import attribute_time
from kernel.netlink import KernelError
from net.prefix import Prefix

log = logging.getLogger("cni.add")


class AddVerb:
    """Attaches a container, as a whole or not at all."""

    def __init__(
        self,
        settings: CniSettings,
        allocator: Allocator,
        attacher: Attacher,
        devices: PodDevices,
        endpoints: Endpoints,
        cleanup: Cleanup,
        pod_mtu: Callable[[], int],
        observe: Callable[[CniRequest], None],
        namespaces: Namespaces | None,
        delegation: Delegation,
    ) -> None:
        """pod_mtu: what a pod of this node gets at present, unless its network says otherwise.

        observe: called with a request whose pod has annotations in the datastore that the runtime has not passed on.
        namespaces: of the pods; None where the datastore has none.
        """
        self._settings, self._allocator = settings, allocator
        self._attacher, self._devices, self._endpoints = attacher, devices, endpoints
        self._cleanup, self._pod_mtu, self._observe = cleanup, pod_mtu, observe
        self._namespaces, self._delegation = namespaces, delegation

    async def run(self, request: CniRequest, netns: int) -> dict[str, Any]:
        """Return the result to print. Raises CniError, DatastoreError, IpamError or KernelError; all is undone then."""
        attachment, pod = request.attachment, request.pod
        self._endpoints.require_room(attachment, pod)
        await self._cleanup.release_journaled(attachment.container_id)
        self._cleanup.attaches(attachment)
        await self._endpoints.require_ready()
        present = await self._endpoint_of(attachment, pod)
        request = await self._with_namespace(request)
        if present is not None:
            passed_on, request = request, replace(request, stored_annotations=present.annotations)
            if request.annotations != passed_on.annotations:
                self._observe(request)
        wanted = _wanted(request)
        former = self._former(request, present)
        if present is not None and former is not None and (result := self._repeat(request, present, former, netns)):
            return result
        mac = hardware_address(request) or any_mac().hex(":")
        draft, is_written = self._draft(request, mac), False
        async with AsyncExitStack() as undo:
            undo.push_async_exit(partial(self._undo_release, PendingRelease(attachment, pod)))
            if wanted is None:
                addresses = await self._delegation.add(request, netns)
                undo.push_async_callback(self._undo_delegated, request)
            elif not wanted.reserved:
                self._endpoints.require_unused(pod, wanted.addresses)
                addresses = wanted.addresses
            else:
                kept = await self._addresses_kept(attachment, present, wanted) if former == attachment else ()
                creation = self._endpoints.creation(draft) if present is None else None
                is_written, addresses = (False, kept) if kept else await self._assign_anew(request, wanted, creation)
            network = replace(self._network(request, addresses), mac=bytes.fromhex(mac.replace(":", "")))
            if present is not None:  # of an older container, whose DEL is late, or this one's before it lost its device
                await self._attacher.detach(present)
            if former is not None and former != attachment:  # the network had another name then
                await self._cleanup.release_handle(former.handle)
            undo.callback(self._undo_make, attachment, network.host_name)
            of_pod = present.metadata if present is not None and self._endpoints.are_pods else None
            pair = await self._devices.make(network, netns, (of_pod and of_pod.uid) or "")
            endpoint = _with_addresses(draft, addresses)
            if of_pod is not None:  # it is this very pod's, and no later one's
                annotations = {**without_giver(of_pod.annotations), **endpoint.annotations}
                endpoint = endpoint.with_metadata(uid=of_pod.uid, annotations=annotations)
            undo.push_async_callback(self._undo_attach, endpoint)
            await self._attach(endpoint, pair.index)
            result = _rendered(request, network, pair)
            if not is_written:
                await self._endpoints.put(endpoint, at_once=wanted is None or not wanted.reserved)
            undo.pop_all()
        listed = ", ".join(map(str, addresses))
        log.info("ADD %s: %s on %s", describe(attachment, pod), listed, network.host_name)
        return result

    async def _endpoint_of(self, attachment: Attachment, pod: PodRef) -> WorkloadEndpoint | None:
        """Return the endpoint of a pod's device. One that cannot be read shows no attachment."""
        try:
            return await self._endpoints.of(attachment, pod)
        except BadRecord:
            return None

    async def _with_namespace(self, request: CniRequest) -> CniRequest:
        """Return the request with what its pod's Namespace says."""
        found = await self._namespaces.get(request.pod.namespace) if self._namespaces else None
        if found is None:
            return request
        metadata = found.metadata
        return replace(request, namespace_annotations=metadata.annotations, namespace_labels=metadata.labels)

    @staticmethod
    def _former(request: CniRequest, present: WorkloadEndpoint | None) -> Attachment | None:
        """Return whose the endpoint is, if it is of this container and device; the network may differ."""
        if present is None or present.spec.container_id != request.attachment.container_id:
            return None
        network = present.annotations.get(NETWORK, request.network.name)
        former = request.attachment._replace(network=network)
        return former if is_of(present, former) else None

    def _repeat(
        self, request: CniRequest, endpoint: WorkloadEndpoint, former: Attachment, netns: int
    ) -> dict[str, Any] | None:
        """Answer a repeated ADD with the same result; None where only records of the container are left, no device.

        A container whose id returns in a new namespace, as after a power cut, has no device of ours in it. Raises
        CniError (100): it has, but not as it was made, or to another network.
        """
        network = self._network(request, endpoint.addresses)
        pair, differences = self._devices.inspect(replace(network, attachment=former), netns)
        if pair is None:
            log.info(
                "ADD %s: what is left of it is cleared: %s",
                describe(request.attachment, request.pod),
                "; ".join(differences),
            )
            return None
        if former != request.attachment:
            differences = [f"{former.device} leads to network {former.network}"]
        if differences:
            raise CniError(
                Code.ALREADY_ATTACHED,
                f"ADD {describe(request.attachment, request.pod)}: this container is attached already, but not as it "
                f"was made: {'; '.join(differences)}; it is left as it is; DEL it first",
            )
        return _rendered(request, network, pair)

    async def _addresses_kept(
        self, attachment: Attachment, endpoint: WorkloadEndpoint | None, wanted: AddressRequest
    ) -> tuple[Address, ...]:
        """Return the addresses that the container had before, if they are still reserved and are what is wanted."""
        try:
            held = await self._allocator.held(attachment.handle)
        except BadRecord:
            return ()
        if endpoint is None or set(endpoint.addresses) != set(held):
            return ()
        return endpoint.addresses if wanted.is_met_by(endpoint.addresses) else ()

    def _network(self, request: CniRequest, addresses: tuple[Address, ...]) -> PodNetwork:
        return requested_network(
            request, self._settings.host_name(request.pod, request.attachment.device), addresses, self._pod_mtu()
        )

    async def _assign_anew(
        self, request: CniRequest, wanted: AddressRequest, creation: Create | None
    ) -> tuple[bool, tuple[Address, ...]]:
        """Reserve every address wanted, and release what an ADD reserved that was killed before it wrote the endpoint.

        creation: of the endpoint without its addresses, if it may be written with them. Return whether it is, and the
        addresses. After an error some may be reserved, which the caller releases by handle.
        """
        if wanted.addresses:  # asked for one by one
            creation = None
        try:
            return creation is not None, await self._assign(request, wanted, creation, fresh=True)
        except CompanionRefused as there:
            log.info("ADD %s: %s; it is written when the pod is attached", _name(request), there)
            return await self._assign_anew(request, wanted, None)
        except HandleInUse as leftover:
            log.info("ADD %s: %s; it is released first", _name(request), leftover)
            await self._cleanup.release_handle(request.attachment.handle)
            return False, await self._assign(request, wanted, None, fresh=False)

    async def _assign(
        self, request: CniRequest, wanted: AddressRequest, creation: Create | None, *, fresh: bool
    ) -> tuple[Address, ...]:
        pod = request.pod
        asked = AddressesWanted(
            node=self._settings.node,
            handle=request.attachment.handle,
            attributes={
                "node": self._settings.node,
                "namespace": pod.namespace,
                "pod": pod.name,
                "timestamp": attribute_time(time.time_ns()),
            },
            ipv4=wanted.ipv4,
            ipv6=wanted.ipv6,
            pools4=wanted.ipv4_pools,
            pools6=wanted.ipv6_pools,
            use="Workload",
            namespace_labels=request.namespace_labels,
            fresh=fresh,
            companion=partial(_creation_of, creation, wanted) if creation else None,
        )
        if wanted.addresses:
            for address in wanted.addresses:
                await self._allocator.assign_address(address, asked)
                asked = replace(asked, fresh=False)
            return wanted.addresses
        got = await self._allocator.assign(asked)
        return _in_order((*got.ipv4, *got.ipv6), wanted)

    async def _attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        try:
            await self._attacher.attach(endpoint, device)
        except Unavailable:
            raise
        except Exception as error:
            raise CniError(
                Code.KERNEL, f"attach {endpoint.namespace}/{endpoint.spec.pod}: {error}; everything is undone"
            ) from error

    def _draft(self, request: CniRequest, mac: str) -> WorkloadEndpoint:
        """Return the endpoint without its addresses."""
        attachment, pod = request.attachment, request.pod
        return WorkloadEndpoint.make(
            workload_endpoint_name(self._settings.node, pod.name, endpoint=attachment.device),
            namespace=pod.namespace,
            annotations={NETWORK: attachment.network, **_giver(request)},
            labels={"projectcalico.org/namespace": pod.namespace, "projectcalico.org/orchestrator": "k8s"},
            node=self._settings.node,
            orchestrator="k8s",
            pod=pod.name,
            endpoint=attachment.device,
            containerID=attachment.container_id,
            interfaceName=self._settings.host_name(pod, attachment.device),
            mac=mac,
            profiles=[f"kns.{pod.namespace}"],
        )

    async def _undo_release(
        self, pending: PendingRelease, _: object, failure: BaseException | None, *__: object
    ) -> None:
        """failure: why. Of a write that it cut short nobody hears whether it is carried out, or when."""
        try:
            if await self._cleanup.release_or_journal(pending) and isinstance(
                failure, Unavailable | asyncio.CancelledError
            ):
                self._cleanup.repeat(pending)
        except Exception:
            log.exception("undo ADD %s: release its addresses; the collector will release them", describe(*pending))

    async def _undo_delegated(self, request: CniRequest) -> None:
        if (failure := await self._delegation.delete(request)) is not None:
            log.error("undo ADD: %s; its address is free when it is deleted there by hand", failure)

    def _undo_make(self, attachment: Attachment, name: str) -> None:
        try:
            if owned := self._devices.owned_by(attachment, name):
                self._cleanup.retire(owned)
        except KernelError as error:
            log.error("undo ADD: retire %s: %s; the next ADD or GC removes it", name, error)

    async def _undo_attach(self, endpoint: WorkloadEndpoint) -> None:
        try:
            await self._attacher.detach(endpoint)
        except Exception:
            log.exception(
                "undo ADD: detach %s/%s; the agent removes the routes later", endpoint.namespace, endpoint.name
            )


def _name(request: CniRequest) -> str:
    return describe(request.attachment, request.pod)


def _with_addresses(draft: WorkloadEndpoint, addresses: Iterable[Address]) -> WorkloadEndpoint:
    return draft.with_spec(ip_networks=tuple(str(Prefix.host(address.packed)) for address in addresses))


def _creation_of(creation: Create, wanted: AddressRequest, addresses: Iterable[Address]) -> Create:
    """Return what writes an endpoint that is complete now."""
    endpoint = creation.resource
    assert isinstance(endpoint, WorkloadEndpoint)
    return Create(_with_addresses(endpoint, _in_order(addresses, wanted)))


def _in_order(addresses: Iterable[Address], wanted: AddressRequest) -> tuple[Address, ...]:
    """Return a pod's addresses, the family first that its network puts first."""
    return tuple(sorted(addresses, key=lambda address: address.version, reverse=wanted.ipv6_first))


def _wanted(request: CniRequest) -> AddressRequest | None:
    """Return which addresses the pod is to get; None: those that another plugin gives. Raises CniError (7)."""
    if delegates(request) and not asks_without_ipam(request):
        refuse_wishes(request)
        return None
    return address_request(request)


def _giver(request: CniRequest) -> Mapping[str, str]:
    """Return the annotation that says what gave a pod its addresses, none where IPAM's blocks do."""
    if asks_without_ipam(request):
        return {IPAM: WITHOUT_IPAM}
    return {IPAM: HOST_LOCAL} if delegates(request) else {}


def _rendered(request: CniRequest, network: PodNetwork, pair: VethPair) -> dict[str, Any]:
    result = CniResult(
        CniInterface(network.host_name, pair.host_mac, pair.mtu),
        CniInterface(request.attachment.device, pair.mac, pair.mtu, request.netns),
        network.addresses,
        tuple(gateway_of(address) for address in network.addresses),
    )
    return render(result, request.version, request.network.prev_result)
