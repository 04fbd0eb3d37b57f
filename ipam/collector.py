"""Releasing what leaked: one round reads the cluster, decides what is confirmed, and releases just that.

On Kubernetes the controller runs it, on SQLite each agent; several at once do no harm. Each release names handle and
sequence, so what was assigned again since the reading is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from datastore.cas import LOST_RACE
from datastore.errors import BadRecord, DatastoreError, NotFound
from datastore.fields import Network
from datastore.kinds.ipam import BlockAffinity, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.notices import Notice
from datastore.store import Interest, Store, Unreadable
from datastore.summaries import BLOCKS, ENDPOINTS, HANDLES, AnyEndpoint, AnyHandle
from ipam.allocator import Allocator
from ipam.batch import Release
from ipam.block import Allocation
from ipam.errors import ClaimConflict, Contention, IpamError, NotEmpty, WrongOwner
from ipam.first_look import FirstLook
from ipam.leaks import GRACE_SECONDS, ClusterReading, Collected, Suspects

log = logging.getLogger(__name__)

MOST_HOSTS = 20
"""Of whose pods each node is asked for alone; beyond that all pods are read at once."""
AT_ONCE = 64
"""Addresses that are released at the same time."""


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
        doubt: Callable[[ClusterReading], str] | None = None,
    ) -> None:
        """paused: whether what the store says is not to be acted on at present.

        report: gets a notice for each record of addresses that this round could not read.
        doubt: gets what each round has read, and returns why nothing of it is to be acted on; "": it is. Without it
        a round in which all is plainly in order reads only what shows that.
        """
        self._store = store
        self._allocator = allocator
        self.grace_seconds = grace_seconds
        self._now_ns, self._paused, self._report, self._doubt = now_ns, paused, report, doubt
        self._suspects = Suspects()

    @property
    def pause_seconds(self) -> float:
        """The time between two rounds."""
        return max(1.0, self.grace_seconds / 2)

    async def run(self) -> None:
        """Run rounds until cancelled. A store that is away delays a round and ends nothing."""
        while True:
            try:
                if not self._paused():
                    await self.round()
            except (DatastoreError, IpamError) as failure:
                log.warning("collect leaks: %s; next try in %g s", failure, self.pause_seconds)
            await asyncio.sleep(self.pause_seconds)

    async def round(self) -> Collected:
        """Read the cluster once, and release what has looked leaked for the whole grace time."""
        if self._doubt is None and await self._all_is_in_order():
            self._suspects = Suspects()
            return Collected()
        reading = await self._read()
        self._suspects, confirmed = self._suspects.update(reading.leaks, self._now_ns(), self._grace_ns)
        if self._doubt is not None and self._doubt(reading):
            return Collected()
        return Collected(
            await self._release_addresses(confirmed.addresses, reading),
            await self._delete_handles(confirmed.handles),
            await self._release_blocks(confirmed.blocks),
        )

    async def round_of(self, hosts: Collection[str]) -> Collected:
        """Release what hosts that are no nodes any more have left, at once: those of them that have no pods either.

        What pods of theirs borrowed elsewhere is left to the next whole round where another host has a part in it.
        """
        nodes, endpoints, unread = await self._of_hosts(hosts)
        alive = {node.name for node in nodes} | {one.name for one in unread if one.kind is Node}
        alive |= {one.spec.node for one in endpoints}
        hosts = frozenset(hosts) - alive
        if not hosts or any(one.kind is WorkloadEndpoint for one in unread):
            return Collected()
        blocks = await self._store.summarize(BLOCKS)
        affinities = await self._store.list(BlockAffinity)
        unread = (*unread, *blocks.unreadable)
        leaks = ClusterReading(blocks.objects, (), affinities.objects, nodes, endpoints, unread).leaks.of_hosts(hosts)
        return Collected(await self._release(leaks.addresses), blocks=await self._release_blocks(leaks.blocks))

    @property
    def _grace_ns(self) -> int:
        return int(self.grace_seconds * 10**9)

    async def _all_is_in_order(self) -> bool:
        """Whether nothing leaks, as far as a first look can tell."""
        look = FirstLook()
        unread = await self._store.scan(BLOCKS, look.block)
        unread += await self._store.scan(HANDLES, look.handle)
        affinities = await self._store.list(BlockAffinity)
        nodes = await self._store.list(Node)
        unread += await self._store.scan(ENDPOINTS, look.endpoint)
        if unread or affinities.unreadable or nodes.unreadable:
            return False
        self._report(())
        return look.finds_order(nodes.objects, affinities.objects)

    async def _read(self) -> ClusterReading:
        # Endpoints last: a pod attached meanwhile is among them, so its address is no suspect.
        blocks = await self._store.summarize(BLOCKS)
        handles = await self._store.summarize(HANDLES)
        affinities = await self._store.list(BlockAffinity)
        nodes = await self._store.list(Node)
        endpoints = await self._store.summarize(ENDPOINTS)
        unread = (*blocks.unreadable, *nodes.unreadable, *endpoints.unreadable)
        of_addresses = (*blocks.unreadable, *handles.unreadable, *affinities.unreadable)
        self._report(tuple(map(_left_out, of_addresses)))
        return ClusterReading(
            blocks.objects, handles.objects, affinities.objects, nodes.objects, endpoints.objects, unread
        )

    async def _of_hosts(
        self, hosts: Collection[str]
    ) -> tuple[Sequence[Node], Sequence[AnyEndpoint], Sequence[Unreadable]]:
        """Return the Nodes of these names that there are now, their endpoints, and what of both cannot be read."""
        nodes: list[Node] = []
        unread: list[Unreadable] = []
        for host in sorted(hosts):
            try:
                nodes.append(await self._store.get(Node, host))
            except NotFound:
                continue
            except BadRecord as error:
                unread.append(Unreadable(Node, host, None, str(error)))
        if len(hosts) > MOST_HOSTS:
            every = await self._store.summarize(ENDPOINTS)
            return nodes, [one for one in every.objects if one.spec.node in hosts], [*unread, *every.unreadable]
        endpoints: list[AnyEndpoint] = []
        for host in sorted(hosts):
            found = await self._store.list(Interest(WorkloadEndpoint, node=host))
            endpoints += found.objects
            unread += found.unreadable
        return nodes, endpoints, unread

    async def _release_addresses(
        self, confirmed: Sequence[Allocation], reading: ClusterReading
    ) -> tuple[Allocation, ...]:
        if not confirmed:
            return ()
        # Read again: since the first reading a pod may have been attached, or a Node made anew.
        named = all("node" in one.attributes for one in confirmed)
        if named and not any(one.alternate for one in confirmed):
            hosts = {one.attributes["node"] for one in confirmed}
            nodes, endpoints, unread = await self._of_hosts(hosts)
            others = [node for node in reading.nodes if node.name not in hosts]
            unread = (*unread, *(one for one in reading.unread if one.kind is not Node or one.name not in hosts))
            again = ClusterReading(reading.blocks, (), reading.affinities, [*others, *nodes], endpoints, unread)
        else:
            again = await self._read()
        leaked = self._suspects.update(again.leaks, self._now_ns(), self._grace_ns)[1].addresses
        still = {(one.address, one.sequence) for one in leaked}
        return await self._release([one for one in confirmed if (one.address, one.sequence) in still])

    async def _release(self, leaked: Sequence[Allocation]) -> tuple[Allocation, ...]:
        released: list[Allocation] = []
        pools = (await self._store.list(IPPool)).objects if leaked else ()
        for first in range(0, len(leaked), AT_ONCE):
            batch = leaked[first : first + AT_ONCE]
            freed = await asyncio.gather(*(self._released(one, pools) for one in batch))
            released += [one for one, was in zip(batch, freed, strict=True) if was]
        return tuple(released)

    async def _released(self, one: Allocation, pools: Sequence[IPPool]) -> bool:
        """Release one address, if it is still assigned as it was; those of a block share its write."""
        with suppress(WrongOwner), self._reporting(f"release {one.address} of {one.handle}"):
            if (await self._allocator.release([Release(one.address, one.handle, one.sequence)], pools=pools)).released:
                log.info("release %s of %s: %s is gone", one.address, one.handle, one.attributes.get("pod", "its node"))
                return True
        return False

    @contextmanager
    def _reporting(self, tried: str) -> Iterator[None]:
        """Let one thing that cannot be released hold up no other; it is tried again in the next round."""
        try:
            yield
        except (BadRecord, Contention) as failure:
            log.warning("%s: %s; next try in %g s", tried, failure, self.pause_seconds)

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
