"""The six verbs, each a short function.

ADD reserves addresses, makes the pod's device, has it routed, and writes the endpoint; what was done is undone in
reverse if a later step fails. DEL goes the other way and fails only if it can neither do nor note down what is to
be done. What a former life of this process left behind is found by reading: the datastore, the labels on devices,
the journal. Routes are the agent's: it hands in `Attachments`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cni.capacity import shortage
from cni.endpoints import Endpoints, is_of
from cni.journal import Journal, PendingRelease
from cni.locks import KeyedLock
from cni.protocol import (
    Address,
    Attachment,
    CniError,
    Code,
    Interface,
    Pod,
    Request,
    Result,
    Wish,
    addresses_of,
    hardware_address,
    mac_of,
    render,
    version_answer,
    wish,
)
from cni.veth import HOST, Held, Made, Shape, Veth, gateway_of, netns_error
from datastore.errors import Conflict, DatastoreError, Invalid, NotFound, Unavailable
from datastore.kinds.ipam import IPAMBlock, IPAMConfig, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.names import interface_name, workload_endpoint_name
from datastore.store import Store
from ipam import block as blocks
from ipam.allocator import AddressesWanted, Allocator
from ipam.errors import BadPool, Contention, IpamError, NoPools, NotInPool
from ipam.names import attribute_time, handle_name, legacy_pod_handle
from kernel.netlink import KernelError

log = logging.getLogger("cni.verbs")

CONVERGENCE_SECONDS = 2.0
"""How long CHECK waits for routes that are still being written."""

DEVICE = "eth0"
"""What runtimes call the container's end, where no label says otherwise."""

RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.2
"""How long retired devices wait for each other: the kernel deletes many in the time of one."""


class Attachments(Protocol):
    """Who routes to pods: the agent."""

    async def attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        """Route the endpoint's addresses to the device with this index; return when the kernel has the routes."""

    async def detach(self, endpoint: WorkloadEndpoint) -> None:
        """Take the routes back, unless a newer container has the endpoint's name. Its addresses may be unknown."""


@dataclass(frozen=True, slots=True)
class CniSettings:
    """What the verbs must know of this node."""

    node: str
    interface_prefix: str = "cali"
    mtu: int = 0
    """0: what `mtu_file` says, else the kernel's default."""
    mtu_file: Path = Path("/var/lib/calico/mtu")
    seconds: float = 60.0
    """An ADD, DEL or CHECK that takes longer is given up, and undone."""


class Verbs:
    """Carries requests out: side by side, but one at a time for each container, and for each pod's name."""

    def __init__(
        self,
        settings: CniSettings,
        store: Store,
        allocator: Allocator,
        attachments: Attachments,
        journal: Journal,
        veth: Veth | None = None,
        limitation: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`limitation` says why running pods may have limited connectivity, if they have: STATUS passes it on."""
        self._settings, self._store, self._allocator = settings, store, allocator
        self._attachments, self._journal, self._limitation = attachments, journal, limitation
        self._veth = veth or Veth()
        self._endpoints = Endpoints(store, settings.node)
        self._turns = KeyedLock()
        self._untidy = asyncio.Event()

    def leaving(self) -> frozenset[str]:
        """Return the handles whose release is noted down and not yet carried out."""
        return frozenset(owed.attachment.handle for owed in self._journal.owed)

    async def run(self, request: Request, netns: int | None) -> dict[str, Any] | None:
        """Carry out one request; return what is to be printed. Raises CniError, and only that on purpose."""
        match request.verb:
            case "VERSION":
                return version_answer(request.version)
            case "STATUS":
                await self._status(request)
            case "GC":
                await self._gc(request)
            case "ADD":
                async with self._turn(request):
                    return await self._add(request, _namespace(request, netns))
            case "DEL":
                async with self._turn(request):
                    await self._del(request)
            case "CHECK":
                async with self._turn(request):
                    await self._check(request, _namespace(request, netns))
        return None

    @asynccontextmanager
    async def _turn(self, request: Request) -> AsyncIterator[None]:
        tried = f"{request.verb} {_words(request.attachment, request.pod)}"
        with _translated(tried):
            try:
                async with asyncio.timeout(self._settings.seconds), self._turns.of(*_keys(request)):
                    yield
            except TimeoutError:
                raise CniError(
                    Code.TRY_AGAIN, f"{tried}: not done within {self._settings.seconds:g} s and undone; try again later"
                ) from None

    # ADD

    async def _add(self, request: Request, netns: int) -> dict[str, Any]:
        attachment, pod = request.attachment, request.pod
        wanted = wish(request)
        await self._carry_out(self._journal.of(attachment.container_id))
        _, present, leftover = await asyncio.gather(
            self._require_ready(), self._endpoints.of(pod), self._has_handle(attachment)
        )
        if present is not None and present.spec.container_id == attachment.container_id:
            return await self._again(request, present, netns)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._undo_release, PendingRelease(attachment, pod))
            if leftover:  # of an ADD of this container that was killed before it wrote the endpoint
                await self._allocator.release_handle(attachment.handle)
            shape = self._shape(request, await self._assign(request, wanted))
            if present is not None:  # of an older container, whose DEL is late
                await self._attachments.detach(present)
            undo.callback(self._undo_make, attachment, shape.name)
            made = await self._veth.make(shape, netns)
            endpoint = self._endpoint_of(request, shape, made)
            undo.push_async_callback(self._undo_attach, endpoint)
            await self._attach(endpoint, made.index)
            await self._endpoints.put(endpoint)
            undo.pop_all()
        log.info("ADD %s: %s on %s", _words(attachment, pod), ", ".join(map(str, shape.addresses)), shape.name)
        return render(_result(request, shape, made), request.version, request.network.prev_result)

    async def _again(self, request: Request, endpoint: WorkloadEndpoint, netns: int) -> dict[str, Any]:
        """Answer a repeated ADD: with the same result if everything is as it was made, else not at all."""
        shape = self._shape(request, endpoint.addresses)
        made, differences = self._veth.inspect(shape, netns)
        if made is None or differences:
            raise CniError(
                Code.ALREADY_ATTACHED,
                f"ADD {_words(request.attachment, request.pod)}: this container is attached already, but not as it was "
                f"made: {'; '.join(differences)}; it is left as it is; DEL it first",
            )
        return render(_result(request, shape, made), request.version, request.network.prev_result)

    async def _require_ready(self) -> None:
        """Refuse while an administrator holds the datastore (an upgrade, say), as every client of Calico's does."""
        cluster = await self._endpoints.cluster()
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

    async def _assign(self, request: Request, wanted: Wish) -> tuple[Address, ...]:
        """Reserve what is wished for, all of it or nothing that stays: the caller releases by handle."""
        attachment, pod = request.attachment, request.pod
        asked = AddressesWanted(
            node=self._settings.node,
            handle=attachment.handle,
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
        )
        if wanted.addresses:
            for address in wanted.addresses:
                await self._allocator.assign_address(address, asked)
            return wanted.addresses
        got = await self._allocator.assign(asked)
        return (*got.ipv6, *got.ipv4) if wanted.ipv6_first else (*got.ipv4, *got.ipv6)

    async def _attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        try:
            await self._attachments.attach(endpoint, device)
        except Exception as error:
            raise CniError(
                Code.KERNEL, f"attach {endpoint.namespace}/{endpoint.spec.pod}: {error}; everything is undone"
            ) from error

    async def _undo_release(self, owed: PendingRelease) -> None:
        try:
            await self._release_or_note(owed)
        except Exception:
            log.exception("undo ADD %s: its addresses are left to the garbage collection", _words(*owed))

    def _undo_make(self, attachment: Attachment, name: str) -> None:
        try:
            if held := self._veth.of(attachment, name):
                self._retire(held)
        except KernelError as error:
            log.error("undo ADD: retire %s: %s; the next ADD or GC removes it", name, error)

    async def _undo_attach(self, endpoint: WorkloadEndpoint) -> None:
        try:
            await self._attachments.detach(endpoint)
        except Exception:
            log.exception(
                "undo ADD: detach %s/%s; the agent's next round removes it", endpoint.namespace, endpoint.name
            )

    # DEL

    async def _del(self, request: Request) -> None:
        attachment, pod = request.attachment, request.pod
        name = interface_name(pod.namespace, pod.name, self._settings.interface_prefix)
        held = self._veth.of(attachment, name)
        if held is not None and held.attachment.device != attachment.device:
            return  # this container is attached by another device; of this one there is nothing
        nameless, present = False, None
        try:
            present = await self._endpoints.of(pod)
            ours = present if present is not None and is_of(present, attachment) else None
            nameless = present is None or ours is not None
        except Unavailable:
            ours = self._nameless_endpoint(attachment, pod)  # the agent tells a newer container's by its id
        if ours is not None:
            await self._attachments.detach(ours)
        if held is not None:
            self._retire(held)
        elif nameless and self._veth.retire_nameless(name):
            self._untidy.set()
        await self._release_or_note(PendingRelease(attachment, pod), present)
        log.info("DEL %s: done", _words(attachment, pod))

    def _retire(self, held: Held) -> None:
        """Take a device out of the way; it is deleted in the background."""
        self._veth.retire(held)
        self._untidy.set()

    async def _release_or_note(self, owed: PendingRelease, read: WorkloadEndpoint | None = None) -> None:
        """Release what the datastore holds of an attachment, now or, noted down on disk, later."""
        try:
            await self._release(owed, read)
        except (Unavailable, Conflict, Contention) as why:
            try:
                self._journal.add(owed)
            except OSError as error:
                raise CniError(
                    Code.TRY_AGAIN,
                    f"release {_words(*owed)}: the datastore did not take it ({why}), nor did the journal ({error}); "
                    "its device is gone, its addresses are not; try again later",
                ) from error
            log.warning("release %s: %s; noted down, to be done when the datastore is back", _words(*owed), why)
            self._untidy.set()

    async def _release(self, owed: PendingRelease, read: WorkloadEndpoint | None = None) -> None:
        """Delete the endpoint, unless a newer container has it, and only then release the addresses.

        `read` is the endpoint as it was a moment ago, if somebody has just read it.
        """
        attachment, pod = owed
        await self._endpoints.remove(attachment, pod, read)
        await asyncio.gather(
            self._allocator.release_handle(attachment.handle),
            self._allocator.release_handle(legacy_pod_handle(pod.namespace, pod.name)),
        )

    # CHECK

    async def _check(self, request: Request, netns: int) -> None:
        attachment, previous = request.attachment, request.network.prev_result
        if previous is None:
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"CHECK {_words(attachment, request.pod)}: the configuration has no prevResult",
            )
        differences = await self._recorded_differently(request)
        endpoint = await self._endpoints.of(request.pod)
        if not differences and endpoint is not None:
            shape = self._shape(request, endpoint.addresses)
            listed = addresses_of(previous, attachment.device)
            if listed is None or not set(shape.addresses) <= set(listed):
                theirs, ours = _listed(listed or ()), _listed(shape.addresses)
                differences.append(f"prevResult gives {attachment.device} {theirs}, the endpoint {ours}")
            differences += await self._settled_differences(shape, netns, mac_of(previous, attachment.device))
        if differences:
            raise CniError(
                Code.DIFFERENT,
                f"CHECK {_words(attachment, request.pod)}: {'; '.join(differences)}; nothing was changed",
            )

    async def _recorded_differently(self, request: Request) -> list[str]:
        """Return what the datastore says otherwise than this attachment should have it."""
        attachment, pod = request.attachment, request.pod
        endpoint = await self._endpoints.of(pod)
        if endpoint is None:
            return [f"there is no WorkloadEndpoint for pod {pod.namespace}/{pod.name}"]
        if not is_of(endpoint, attachment):
            return [f"WorkloadEndpoint {endpoint.name} belongs to container {endpoint.spec.container_id}"]
        reserved = await self._allocator.held(attachment.handle)
        return [
            f"address {address} is not reserved under handle {attachment.handle}"
            for address in endpoint.addresses
            if address not in reserved
        ]

    async def _settled_differences(self, shape: Shape, netns: int, mac: str) -> list[str]:
        """Return how the kernel differs, once routes that may be on their way have had their time."""
        end = asyncio.get_running_loop().time() + CONVERGENCE_SECONDS
        while True:
            made, differences = self._veth.inspect(shape, netns)
            if made is not None and mac and made.mac != mac:
                differences = [*differences, f"{shape.device} has MAC {made.mac} instead of {mac}"]
            if not differences or asyncio.get_running_loop().time() >= end:
                return differences
            await asyncio.sleep(0.05)

    # STATUS

    async def _status(self, request: Request) -> None:
        try:
            await self._require_ready()
            pools, existing = (await self._store.list(IPPool)).objects, (await self._store.list(IPAMBlock)).objects
            try:
                config = await self._store.get(IPAMConfig, "default")
            except NotFound:
                config = None
        except Unavailable as error:
            raise CniError(Code.NOT_SERVING, f"STATUS: the datastore does not answer: {error}") from error
        except CniError as error:
            raise CniError(Code.NOT_SERVING, f"STATUS: {error.sentence}") from error
        section = request.network.ipam
        for version, wanted in ((4, section.assign_ipv4), (6, section.assign_ipv6)):
            if wanted and (why := shortage(version, self._settings.node, pools, existing, config)):
                raise CniError(Code.NOT_SERVING, f"STATUS: {why}")
        if why := self._limitation():
            raise CniError(Code.LIMITED, f"STATUS: {why}")

    # GC

    async def _gc(self, request: Request) -> None:
        """Remove every attachment of this network that the runtime does not list; go on after errors, tell them all."""
        if request.valid is None:
            return
        network, valid, failures = request.network.name, request.valid, []
        with _translated(f"GC of network {network}"):
            stale = await self._stale(network, valid)
        for owed in stale:
            if self._turns.busy(_container(owed.attachment)):
                continue  # being attached or detached at this moment, so not forgotten
            try:
                async with self._turns.of(_container(owed.attachment), owed.pod[:2]):
                    await self._collect(owed)
            except Exception as error:
                failures.append(f"{_words(*owed)}: {error}")
        if failures:
            raise CniError(
                Code.TRY_AGAIN,
                f"GC of network {network}: {len(failures)} of {len(stale)} stale attachments are left: "
                + "; ".join(failures),
            )

    async def _collect(self, owed: PendingRelease) -> None:
        present = await self._endpoints.of(owed.pod)
        if present is not None and is_of(present, owed.attachment):
            await self._attachments.detach(present)
        name = interface_name(owed.pod.namespace, owed.pod.name, self._settings.interface_prefix)
        if held := self._veth.of(owed.attachment, name):
            self._retire(held)
        await self._release(owed)
        log.info("GC: %s removed", _words(*owed))

    async def _stale(self, network: str, valid: frozenset[tuple[str, str]]) -> list[PendingRelease]:
        """Return what devices, endpoints and address blocks of this node still show of attachments not listed.

        An endpoint without an address under any handle has lost its network's name; it is taken for this network's.
        """
        listed = {container for container, _ in valid}
        stale: dict[str, Attachment] = {}
        pods: dict[str, Pod] = {}
        elsewhere = set[str]()
        for held in self._veth.held():
            if held.attachment.network == network and held.attachment[1:] not in valid:
                stale[held.attachment.container_id] = held.attachment
        for block in (await self._store.list(IPAMBlock)).objects:
            for allocation in blocks.allocations(block):
                if allocation.attributes.get("node") != self._settings.node or "pod" not in allocation.attributes:
                    continue
                owner, _, container = (allocation.handle or "").rpartition(".")
                pods[container] = Pod(allocation.attributes.get("namespace", "default"), allocation.attributes["pod"])
                if owner != network:
                    elsewhere.add(container)
                elif container not in listed:
                    stale.setdefault(container, Attachment(network, container, DEVICE))
        for endpoint in (await self._store.list(WorkloadEndpoint)).objects:
            container = endpoint.spec.container_id or ""
            if endpoint.spec.node == self._settings.node and container:  # else nobody can say that it is stale
                pods[container] = Pod(endpoint.namespace or "default", endpoint.spec.pod or "")
                if container not in listed | elsewhere:
                    stale.setdefault(container, Attachment(network, container, DEVICE))
        return [PendingRelease(one, pods.get(container, Pod("default", container))) for container, one in stale.items()]

    # What is left over

    async def tidy_up(self) -> None:
        """Delete retired devices and carry out the journal: at start, after DELs, and until the datastore is back."""
        while True:
            self._untidy.clear()
            await self.reap_retired()
            await self._carry_out_journal()
            if self._journal.owed:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await self._untidy.wait()
                await asyncio.sleep(GATHER_SECONDS)

    async def _carry_out_journal(self) -> None:
        """Try each noted release once; one that cannot be carried out holds up no other."""
        for owed in self._journal.owed:
            try:
                async with self._turns.of(_container(owed.attachment), owed.pod[:2]):
                    # An ADD of the same container may have been first, and the handle is in use again.
                    await self._carry_out([owed] if owed in self._journal.owed else [])
            except Unavailable as error:
                log.debug("the journal's %d releases: %s", len(self._journal.owed), error)
                return
            except (DatastoreError, IpamError) as error:
                log.warning("release %s, as noted down: %s; next try in %g s", _words(*owed), error, RETRY_SECONDS)

    async def reap_retired(self) -> None:
        """Delete the devices that DELs put aside. The kernel takes 20 ms for it, in a thread that nobody waits for."""
        try:
            await asyncio.to_thread(self._veth.reap)
        except KernelError as error:
            log.warning("delete retired devices: %s; next try after the next DEL", error)

    async def _carry_out(self, owed: Iterable[PendingRelease]) -> None:
        """Release what is noted down, in its container's turn; what cannot be released stays noted and rises.

        Raises Unavailable too when the journal cannot be written: what is done would be done again, to a handle that
        is in use by then, if its container went on.
        """
        done = []
        try:
            for one in owed:
                await self._release(one)
                done.append(one)
        finally:
            if done:
                try:
                    self._journal.settle(done)
                except OSError as error:
                    raise Unavailable(f"take {len(done)} releases out of the journal: {error}") from error

    # Small things

    async def _has_handle(self, attachment: Attachment) -> bool:
        try:
            await self._store.get(IPAMHandle, handle_name(attachment.handle))
        except NotFound:
            return False
        return True

    def _endpoint_of(self, request: Request, shape: Shape, made: Made) -> WorkloadEndpoint:
        return WorkloadEndpoint.make(
            workload_endpoint_name(self._settings.node, request.pod.name),
            namespace=request.pod.namespace,
            labels={"projectcalico.org/namespace": request.pod.namespace, "projectcalico.org/orchestrator": "k8s"},
            node=self._settings.node,
            orchestrator="k8s",
            pod=request.pod.name,
            endpoint="eth0",
            containerID=request.attachment.container_id,
            interfaceName=shape.name,
            ipNetworks=[f"{address}/{address.max_prefixlen}" for address in shape.addresses],
            mac=made.mac,
            profiles=[f"kns.{request.pod.namespace}"],
        )

    def _nameless_endpoint(self, attachment: Attachment, pod: Pod) -> WorkloadEndpoint:
        """Return what can be said of an endpoint while the datastore is away: whose it is, not its addresses."""
        return WorkloadEndpoint.make(
            workload_endpoint_name(self._settings.node, pod.name),
            namespace=pod.namespace,
            node=self._settings.node,
            pod=pod.name,
            containerID=attachment.container_id,
            interfaceName=interface_name(pod.namespace, pod.name, self._settings.interface_prefix),
        )

    def _shape(self, request: Request, addresses: tuple[Address, ...]) -> Shape:
        pod = request.pod
        return Shape(
            name=interface_name(pod.namespace, pod.name, self._settings.interface_prefix),
            device=request.attachment.device,
            attachment=request.attachment,
            pod=pod,
            addresses=addresses,
            mtu=self._mtu(request, addresses),
            mac=hardware_address(request),
            forwarding=request.network.container_settings.allow_ip_forwarding,
        )

    def _mtu(self, request: Request, addresses: tuple[Address, ...]) -> int:
        mtu = request.network.mtu or self._settings.mtu or _written_mtu(self._settings.mtu_file) or 1500
        least = 1280 if any(address.version == 6 for address in addresses) else 68
        if mtu < least:
            raise CniError(Code.INVALID_CONFIGURATION, f"{request.verb}: mtu {mtu} is too small; the least is {least}")
        return mtu


def _container(attachment: Attachment) -> tuple[str, str]:
    return attachment.network, attachment.container_id


def _keys(request: Request) -> tuple[tuple[str, str], tuple[str, str]]:
    """The container, then the pod: two sandboxes of one pod share the device's name and the endpoint."""
    return _container(request.attachment), request.pod[:2]


def _words(attachment: Attachment, pod: Pod) -> str:
    return f"{pod.namespace}/{pod.name} (container {attachment.container_id[:12]}, {attachment.device})"


def _listed(addresses: Iterable[Address]) -> str:
    return ", ".join(map(str, addresses)) or "no address"


def _namespace(request: Request, netns: int | None) -> int:
    """Return the descriptor that came along. Raises CniError (8): none did, or it is not a pod's namespace."""
    if netns is None:
        why = request.netns_error or "no descriptor of it came with the request"
        raise CniError(
            Code.INVALID_NAMESPACE, f"{request.verb}: open CNI_NETNS {request.netns}: {why}; nothing was done"
        )
    unsuited = netns_error(netns)
    if unsuited and not (unsuited == HOST and request.may_be_host):
        raise CniError(
            Code.INVALID_NAMESPACE, f"{request.verb}: CNI_NETNS {request.netns} {unsuited}; nothing was done"
        )
    return netns


def _result(request: Request, shape: Shape, made: Made) -> Result:
    return Result(
        Interface(shape.name, made.host_mac, made.mtu),
        Interface(shape.device, made.mac, made.mtu, request.netns),
        shape.addresses,
        tuple(gateway_of(address) for address in shape.addresses),
    )


def _written_mtu(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


@contextmanager
def _translated(tried: str) -> Iterator[None]:
    """Give every error that is known here its code and, in front of its sentence, what was tried."""
    try:
        yield
    except (Unavailable, Conflict, Contention) as error:
        raise CniError(Code.TRY_AGAIN, f"{tried}: {error}; try again later") from error
    except (BadPool, NoPools, NotInPool, Invalid) as error:
        raise CniError(Code.INVALID_CONFIGURATION, f"{tried}: {error}") from error
    except IpamError as error:
        raise CniError(Code.NO_ADDRESS, f"{tried}: {error}") from error
    except KernelError as error:
        raise CniError(Code.KERNEL, f"{tried}: {error}; everything is undone") from error
