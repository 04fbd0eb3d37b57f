"""Releasing what leaked: one round reads the cluster, decides what is confirmed, and releases just that.

On Kubernetes the controller runs it, on SQLite each agent; several at once do no harm. Each release names handle and
sequence, so what was assigned again since the reading is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from datastore.cas import LOST_RACE
from datastore.errors import BadRecord, DatastoreError
from datastore.fields import Network
from datastore.kinds.ipam import BlockAffinity, IPAMHandle
from datastore.kinds.node import Node
from datastore.notices import Notice
from datastore.store import Store, Unreadable
from datastore.summaries import BLOCKS, ENDPOINTS, HANDLES, AnyHandle
from ipam.allocator import Allocator
from ipam.batch import Release
from ipam.block import Allocation
from ipam.errors import ClaimConflict, Contention, IpamError, NotEmpty, WrongOwner
from ipam.leaks import Leaks, Suspects, find_leaks

log = logging.getLogger(__name__)

GRACE_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True)
class Collected:
    """What one round released."""

    addresses: tuple[Allocation, ...] = ()
    handles: tuple[str, ...] = ()
    blocks: tuple[Network, ...] = ()


class Collector:
    """The leaks of one store, and how long each has been suspected."""

    def __init__(
        self,
        store: Store,
        allocator: Allocator,
        *,
        grace_seconds: float = GRACE_SECONDS,
        now_ns: Callable[[], int] = time.monotonic_ns,
        paused: Callable[[], object] = lambda: False,
        report: Callable[[tuple[Notice, ...]], object] = lambda notices: None,
    ) -> None:
        """paused: whether what the store says is not to be acted on at present.

        report: gets a notice for each record of addresses that this round could not read.
        """
        self._store = store
        self._allocator = allocator
        self._grace_ns = int(grace_seconds * 10**9)
        self._now_ns, self._paused, self._report = now_ns, paused, report
        self._suspects = Suspects()
        self._pause_seconds = max(1.0, grace_seconds / 2)

    async def run(self) -> None:
        """Run rounds until cancelled. A store that is away delays a round and ends nothing."""
        while True:
            try:
                if not self._paused():
                    await self.round()
            except (DatastoreError, IpamError) as failure:
                log.warning("collect leaks: %s; next try in %g s", failure, self._pause_seconds)
            await asyncio.sleep(self._pause_seconds)

    async def round(self) -> Collected:
        """Read the cluster once, and release what has looked leaked for the whole grace time."""
        self._suspects, confirmed = self._suspects.update(await self._leaks(), self._now_ns(), self._grace_ns)
        return Collected(
            await self._release_addresses(confirmed.addresses),
            await self._delete_handles(confirmed.handles),
            await self._release_blocks(confirmed.blocks),
        )

    async def _leaks(self) -> Leaks:
        # Endpoints last: a pod attached meanwhile is among them, so its address is no suspect.
        blocks = await self._store.summarize(BLOCKS)
        handles = await self._store.summarize(HANDLES)
        affinities = await self._store.list(BlockAffinity)
        nodes = await self._store.list(Node)
        endpoints = await self._store.summarize(ENDPOINTS)
        unread = (*blocks.unreadable, *nodes.unreadable, *endpoints.unreadable)
        of_addresses = (*blocks.unreadable, *handles.unreadable, *affinities.unreadable)
        self._report(tuple(map(_left_out, of_addresses)))
        return find_leaks(blocks.objects, handles.objects, endpoints.objects, nodes.objects, affinities.objects, unread)

    async def _release_addresses(self, confirmed: Sequence[Allocation]) -> tuple[Allocation, ...]:
        if not confirmed:
            return ()
        # Read again: the pod may have been attached during the first reading.
        leaked = {(one.address, one.sequence): one for one in (await self._leaks()).addresses}
        released = []
        for one in filter(None, (leaked.get((one.address, one.sequence)) for one in confirmed)):
            with suppress(WrongOwner), self._reporting(f"release {one.address} of {one.handle}"):
                if (await self._allocator.release([Release(one.address, one.handle, one.sequence)])).released:
                    log.info(
                        "release %s of %s: %s is gone", one.address, one.handle, one.attributes.get("pod", "its node")
                    )
                    released.append(one)
        return tuple(released)

    @contextmanager
    def _reporting(self, tried: str) -> Iterator[None]:
        """Let one thing that cannot be released hold up no other; it is tried again in the next round."""
        try:
            yield
        except (BadRecord, Contention) as failure:
            log.warning("%s: %s; next try in %g s", tried, failure, self._pause_seconds)

    async def _delete_handles(self, confirmed: Iterable[AnyHandle]) -> tuple[str, ...]:
        deleted = []
        for handle in confirmed:
            with suppress(*LOST_RACE), self._reporting(f"delete handle {handle.spec.handle_id}"):
                found = await self._store.get(IPAMHandle, handle.name)
                await self._store.delete(found.with_metadata(resource_version=handle.revision))
                log.info("delete handle %s: no block holds an address for it", handle.spec.handle_id)
                deleted.append(handle.spec.handle_id)
        return tuple(deleted)

    async def _release_blocks(self, confirmed: Iterable[tuple[str, Network]]) -> tuple[Network, ...]:
        released: list[Network] = []
        for host, cidr in confirmed:
            with suppress(ClaimConflict, NotEmpty), self._reporting(f"release block {cidr} of node {host}"):
                released += await self._allocator.release_affinity(host, cidr, must_be_empty=True)
                log.info("release block %s of node %s: it is empty", cidr, host)
        return tuple(released)


def _left_out(record: Unreadable) -> Notice:
    reason = f"it cannot be read: {record.reason}"
    return Notice(record.kind.KIND, record.name, "", reason, "what it may stand for is kept, and it is read again")
