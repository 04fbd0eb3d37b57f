"""Which verb runs when: dispatch, one at a time per container and pod, a time limit, an error code for every failure.

What the verbs do is in add.py, delete.py, check.py, collect.py and status.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from cni.add import AddVerb
from cni.attacher import Attacher
from cni.attachment import describe
from cni.check import CheckVerb
from cni.collect import GcVerb
from cni.delegation import Delegation
from cni.delete import Cleanup, DelVerb
from cni.endpoints import Endpoints
from cni.errors import CniError, Code
from cni.journal import Journal, PendingRelease
from cni.journaled_releases import HandleNames
from cni.known import Known
from cni.locks import KeyedLock, lock_keys
from cni.namespaces import Namespaces
from cni.pod_devices import PodDevices
from cni.repeated_releases import RepeatedReleases
from cni.request import CniRequest
from cni.result import version_answer
from cni.settings import DEFAULT_MTU, CniSettings
from cni.status import StatusVerb
from cni.unwritten import UnwrittenPods
from cni.veth import HOST, Veth, netns_error, owned_link
from datastore.errors import BadRecord, Conflict, Forbidden, Invalid, NotFound, Unavailable
from datastore.store import Store
from ipam.allocator import Allocator
from ipam.errors import BadPool, Contention, IpamError, NoPools, NotInPool, UnfitAddress
from kernel.link_codec import Link
from kernel.netlink import KernelError
from kernel.netns import CLONE_NEWNET, kind_of

LEFT: Final = {
    "ADD": "everything is undone",
    "DEL": "what is gone stays gone, and the DEL may be repeated for the rest",
    "CHECK": "nothing was changed",
    "GC": "what is gone stays gone, and the next GC removes the rest",
}
"""What a verb that fails leaves."""
NOT_READY: Final = "the network is not ready"
"""A kubelet tries a pod again 1 to 1.5 s after an error with these words, and 10 to 15 s after any other."""


class Verbs:
    """Carries requests out: side by side, but one at a time for each container, and for each pod's name."""

    def __init__(
        self,
        settings: CniSettings,
        store: Store,
        allocator: Allocator,
        attacher: Attacher,
        journal: Journal,
        devices: PodDevices | None = None,
        *,
        pod_mtu: Callable[[], int] = lambda: DEFAULT_MTU,
        inability: Callable[[], str | None] = lambda: None,
        limitation: Callable[[], str | None] = lambda: None,
        observe: Callable[[CniRequest], None] = lambda request: None,
        namespaces: Namespaces | None = None,
        known: Known | None = None,
        held_back: Callable[[], str] = lambda: "",
        plugins: Path = Path("/opt/cni/bin"),
        repeated: Journal | None = None,
        handle_names: HandleNames | None = None,
    ) -> None:
        """pod_mtu: what a pod gets at present, unless its network says otherwise.

        inability: why no pod's device can be made here, if so, which is STATUS's error. limitation: why pods that run
        may have limited connectivity, if so. observe: called with each ADD before it is carried out, and with
        what the datastore says of its pod. namespaces: None where the datastore has none. known: what the agent's watch
        holds. held_back: why the datastore is not taken for the cluster's at present, if so. repeated: the journal of
        releases that are repeated; None where the datastore carries out no write whose client has ended. handle_names:
        None where a handle is read as fast as it is listed.
        """
        self._settings, self._journal, self._observe = settings, journal, observe
        self.locks = KeyedLock()
        known = known or Known(settings.node)
        devices, endpoints = devices or Veth(settings.sysctls), Endpoints(store, settings.node, known, held_back)
        self._devices, self._endpoints = devices, endpoints
        self.endpoint_writer = endpoints.writer
        self.unwritten = UnwrittenPods(devices, endpoints, known, allocator)
        self.repeated = RepeatedReleases(repeated) if repeated is not None else None
        self.cleanup = Cleanup(
            settings, allocator, devices, endpoints, journal, self.locks, self.repeated, handle_names
        )
        given = Delegation(plugins, store, settings.node, known)
        self._add = AddVerb(
            settings, allocator, attacher, devices, endpoints, self.cleanup, pod_mtu, observe, namespaces, given
        )
        self._del = DelVerb(settings, attacher, devices, endpoints, self.cleanup, given)
        self._check = CheckVerb(settings, allocator, devices, endpoints, pod_mtu, given)
        self._gc = GcVerb(settings, store, attacher, devices, endpoints, self.cleanup, self.locks, given)
        self._status = StatusVerb(settings, allocator.room, inability, limitation)

    def pending_handles(self) -> frozenset[str]:
        """Return the handles whose release is in a journal."""
        repeated = self.repeated.pending if self.repeated else ()
        return frozenset(pending.attachment.handle for pending in (*self._journal.pending, *repeated))

    def outliving_handles(self, links: Iterable[Link]) -> frozenset[str]:
        """Return the handles of the containers of these devices, where those may outlive their endpoint.

        They may where that is a pod: one that is deleted without time to end in is gone before its container is.
        """
        if not self._endpoints.are_pods:
            return frozenset()
        return frozenset(owned.attachment.handle for owned in map(owned_link, links) if owned)

    async def run(self, request: CniRequest, netns: int | None) -> dict[str, Any] | None:
        """Carry out one request; return what is to be printed. Raises CniError; any other exception is a bug."""
        match request.verb:
            case "VERSION":
                return version_answer(request.version)
            case "STATUS":
                await self._status.run(request)
            case "GC":
                with translated(f"GC of network {request.network.name}", LEFT["GC"]):
                    await self._gc.run(request)
            case "ADD":
                self._observe(request)
                with self._asked_again_soon():
                    async with self._exclusively(request):
                        return await self._add.run(request, pod_namespace(request, netns))
            case "DEL":
                async with self._exclusively(request):
                    await self._del.run(
                        request, netns if netns is not None and kind_of(netns) == CLONE_NEWNET else None
                    )
            case "CHECK":
                async with self._exclusively(request):
                    await self._check.run(request, pod_namespace(request, netns))
        return None

    async def take_up(self, request: CniRequest, releases: list[PendingRelease]) -> None:
        """Carry out a DEL that succeeded while no agent listened, but for its release: its device and routes go.

        releases: takes what is to be journaled then. Raises CniError as `run` does.
        """
        async with self._exclusively(request):
            await self._del.take_up(request, releases)

    def journal(self, releases: Sequence[PendingRelease]) -> None:
        """Have the releases of DELs that were taken up carried out. Raises CniError (11): the disk refuses."""
        self.cleanup.journal(releases, "its DEL came while no agent listened")

    @contextmanager
    def _asked_again_soon(self) -> Iterator[None]:
        """Say what makes a kubelet ask again soon, where the datastore is away."""
        try:
            yield
        except CniError as refused:
            away = isinstance(refused.__cause__, Unavailable) and not isinstance(refused.__cause__, Forbidden)
            if not away:
                raise
            raise CniError(refused.code, f"{refused.sentence}; {NOT_READY}") from refused.__cause__

    @asynccontextmanager
    async def _exclusively(self, request: CniRequest) -> AsyncIterator[None]:
        tried = f"{request.verb} {describe(request.attachment, request.pod)}"
        limit = self._settings.timeout_seconds
        left, begun = LEFT[request.verb], False
        with translated(tried, left):
            try:
                async with asyncio.timeout(limit), self.locks.hold(*lock_keys(request.attachment, request.pod)):
                    begun = True
                    yield
            except TimeoutError:
                if not begun:
                    left = "another request for this container or pod was not done either, and nothing was begun"
                raise CniError(
                    Code.TRY_AGAIN, f"{tried}: not done within {limit:g} s; {left}; try again later"
                ) from None


def pod_namespace(request: CniRequest, netns: int | None) -> int:
    """Return the descriptor that came along. Raises CniError (8): none did, or it is not a pod's namespace."""
    if netns is None:
        why = request.netns_error or "no descriptor of it came with the request"
        raise CniError(
            Code.INVALID_NAMESPACE, f"{request.verb}: open CNI_NETNS {request.netns}: {why}; nothing was done"
        )
    error = netns_error(netns)
    if error and not (error == HOST and request.may_be_host):
        raise CniError(Code.INVALID_NAMESPACE, f"{request.verb}: CNI_NETNS {request.netns} {error}; nothing was done")
    return netns


@contextmanager
def translated(tried: str, left: str) -> Iterator[None]:
    """Give every error that is known here its CNI code, what was tried before its sentence, and what is left behind."""
    try:
        yield
    except (Unavailable, NotFound, Conflict, Contention, BadRecord) as error:
        raise CniError(Code.TRY_AGAIN, f"{tried}: {error}; try again later") from error
    except (BadPool, NoPools, NotInPool, UnfitAddress, Invalid) as error:
        raise CniError(Code.INVALID_CONFIGURATION, f"{tried}: {error}") from error
    except IpamError as error:
        raise CniError(Code.NO_ADDRESS, f"{tried}: {error}") from error
    except KernelError as error:
        raise CniError(Code.KERNEL, f"{tried}: {error}; {left}") from error
