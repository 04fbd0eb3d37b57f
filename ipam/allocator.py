"""Assigning and releasing addresses: the verbs of this package.

Everything is settled by compare-and-swap. Between requests only hints are kept: a host's context while a watch reports
changes of it, and each block as this process last wrote it. A stale hint costs another read, never a wrong assignment.
Requests of one process that need the same read or the same block share it (datastore.group_commit).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_network

from msgspec import Struct, field

from datastore.cas import ATTEMPTS, found_or_none
from datastore.errors import BadRecord, DatastoreError
from datastore.fields import Address, Network, network
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.pools import IPPool, Use
from datastore.store import Store, WatchEvent, Write
from ipam import block as blocks
from ipam import search
from ipam.affinities import Affinities
from ipam.arrivals import Arrivals
from ipam.batch import AssignAny, AssignExactly, Operation, Release, Result
from ipam.block_finder import BlockFinder, Search
from ipam.block_writer import BlockWriter, MissingBlock
from ipam.errors import (
    ClaimConflict,
    Contention,
    Exhausted,
    ForeignBlock,
    HandleInUse,
    IpamError,
    NotEmpty,
    NotInPool,
    UnfitAddress,
)
from ipam.handle_release import HandleRelease
from ipam.held_addresses import HeldAddresses
from ipam.host_context import HostContext, HostContexts
from ipam.names import affine_host, cidr_name
from ipam.reserved import Reserved
from ipam.room import Room
from net.address_range import lies_in

log = logging.getLogger(__name__)


class AddressesWanted(Struct, frozen=True):
    """A request for addresses, assigned under one handle."""

    node: str
    handle: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    ipv4: int = 1
    ipv6: int = 0
    pools4: tuple[str, ...] = ()
    """Names or CIDRs of pools to choose from, whatever they select; empty: those that select the node."""
    pools6: tuple[str, ...] = ()
    use: Use = "Workload"
    namespace_labels: Mapping[str, str] | None = None
    fresh: bool = False
    """The handle is to be new: what has been assigned under it before makes the request fail by HandleInUse."""
    companion: Callable[[Result], Write] | None = None
    """Returns what is written in one transaction with the last of these addresses, for a store that has transactions.

    It is called when they are chosen, and must not fail.
    """


class Assignment(Struct, frozen=True):
    """The addresses a request was assigned, and the block that each is from."""

    ipv4: tuple[IPv4Address, ...] = ()
    ipv6: tuple[IPv6Address, ...] = ()
    blocks: Mapping[Address, Network] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[Address, Network]) -> Assignment:
        """Return the assignment of these addresses, each with its block."""
        return cls(
            tuple(address for address in found if isinstance(address, IPv4Address)),
            tuple(address for address in found if isinstance(address, IPv6Address)),
            found,
        )


class Released(Struct, frozen=True):
    """The addresses that a release freed, and those that were not assigned."""

    released: tuple[Address, ...] = ()
    unassigned: tuple[Address, ...] = ()


class Allocator:
    """Addresses from the pools of one store, for the callers of one event loop."""

    def __init__(self, store: Store, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._store = store
        self.arrivals = Arrivals()
        """Where whoever takes requests in counts each; else each is taken to be alone."""
        self._now_ns = now_ns
        self._affinities = Affinities(store, now_ns)
        self.claimed = self._affinities.claimed
        self._contexts = HostContexts(store, self._affinities)
        self._writer = BlockWriter(store, now_ns, self._contexts.cooldown_seconds, self.arrivals)
        self._finder = BlockFinder(store, self._affinities, self._contexts, self._writer, now_ns)
        self._held = HeldAddresses(self._writer, self._affinities, self._contexts)
        self._handles = HandleRelease(store, self._writer, self._held, self._release_from)
        self.unrecorded = self._writer.handles.unrecorded

    def on_event(self, event: WatchEvent) -> None:
        """Take in an event of the agent's watch: from its InSync on, settings and pools are cached between requests.

        Without a watch each request reads them. With it a change takes effect a moment later, as if the request had
        come earlier.
        """
        self._contexts.on_event(event)

    def avoid(self, hosts: Mapping[Address, str]) -> None:
        """Give no pod one of these addresses, each with whose it is, nor one of a block that holds one."""
        self._contexts.avoid(hosts)

    def room(self, host: str) -> Room | None:
        """Return what is known of the room that a host's pods have; None: no watch reports it yet. It asks nobody."""
        context = self._contexts.known(host)
        if context is None:
            return None
        return Room(
            context.pools,
            self._contexts.claimed() or (),
            {one.network: self._writer.known.get(one.network) for one in context.affinities},
            strict=context.strict,
            claims=context.claims_blocks,
        )

    async def assign(self, request: AddressesWanted) -> Assignment:
        """Assign all the addresses of a request, or none.

        Not idempotent: a second call assigns more. Raises NoPools, BadPool, BlockLimit, Exhausted, HandleInUse,
        CompanionRefused, Contention. After DatastoreError or a cancellation something may have been assigned: release
        the handle.
        """
        context = await self._contexts.of(request.node)
        self._require_new(request)
        taken: dict[Address, Network] = {}
        try:
            for version, count in ((4, request.ipv4), (6, request.ipv6)):
                if count:
                    await self._assign_family(request, version, count, context, taken)
        except BaseException:
            await asyncio.shield(self._undo(request, tuple(taken)))
            raise
        return Assignment.of(taken)

    async def assign_address(self, address: Address, request: AddressesWanted) -> Assignment:
        """Assign this one address to the request's handle; the request's counts, pools and companion are ignored.

        Not idempotent. Raises NotInPool, UnfitAddress, AlreadyAssigned, ForeignBlock (affinity is strict),
        HandleInUse, ClaimConflict, also where a block of another size has the address, Contention.
        """
        context = await self._contexts.of(request.node)
        self._require_new(request)
        wanted = ip_network(address)
        pool = search.pool_of((pool for pool in context.pools if pool.allocatable), wanted)
        if pool is None:
            raise NotInPool(f"assign {address} to {request.handle}: it lies in no enabled pool; choose one that does")
        if why := context.why_not(wanted):
            raise UnfitAddress(f"assign {address} to {request.handle}: {why}; choose another address")
        cidr = search.block_around(pool, wanted)
        only_for = request.node if context.strict else None
        operation = AssignExactly(request.handle, request.attributes, address, only_for, request.fresh)
        for _ in range(ATTEMPTS):
            try:
                await self._writer.submit(cidr, operation)
            except MissingBlock:
                await self._finder.claim(request.node, pool, cidr)
                continue
            return Assignment.of({address: cidr})
        raise Contention(f"assign {address} to {request.handle}: its block was deleted {ATTEMPTS} times in a row")

    async def held(self, handle: str) -> dict[Address, Network]:
        """Return the addresses assigned under a handle, each with its block. Raises BadRecord: a block's."""
        found = {} if self._store.atomic else await self._held.under(handle)
        try:
            record = await self._writer.handles.read(handle)
            cidrs = {network(cidr) for cidr in record.spec.block} if record else set()
        except BadRecord:
            cidrs = set(await self._handles.holding(handle))
        for cidr in cidrs | set(found.values()):
            block = await self._block(cidr)
            if block:
                found |= {blocks.address_of(block, ordinal): block.network for ordinal in blocks.held_by(block, handle)}
        return found

    async def release(
        self,
        addresses: Iterable[Address | Release],
        handle: str | None = None,
        pools: Sequence[IPPool] | None = None,
    ) -> Released:
        """Release addresses; with a handle or a sequence only if they are still assigned that way.

        pools: as they were read a moment ago; None: they are read. An address that is not assigned is reported, not
        refused. Raises WrongOwner after all others have been released.
        """
        wanted = dict.fromkeys(one if isinstance(one, Release) else Release(one, handle) for one in addresses)
        if pools is None:
            pools = (await self._store.list(IPPool)).objects
        results = await asyncio.gather(*(self._release_one(one, pools) for one in wanted), return_exceptions=True)
        freed: set[Address] = set()
        for result in results:
            if isinstance(result, BaseException):
                raise result
            freed.update(result)
        return Released(
            tuple(one.address for one in wanted if one.address in freed),
            tuple(one.address for one in wanted if one.address not in freed),
        )

    async def release_handle(
        self, handle: str, expected: Collection[Address] = (), companion: Write | None = None
    ) -> list[Address]:
        """Release whatever is assigned under a handle and return it. An unknown handle is no error: it has nothing.

        expected: what is known to be assigned under it, which may save reading its record. companion: what is written
        in one transaction with the first address that is released, if one is, for a store that has transactions. Raises
        BadRecord: a block of it cannot be read; what others hold is released all the same. Raises CompanionRefused, and
        with a companion BadRecord where the handle cannot be read: nothing was done then.
        """
        return await self._handles.release(handle, expected, companion)

    async def release_affinity(
        self, host: str, cidr: Network | None = None, *, must_be_empty: bool = False
    ) -> list[Network]:
        """Release one block of a host, or all of them, and return which.

        Raises NotEmpty or ClaimConflict after all others have been released.
        """
        cidrs = [cidr] if cidr else [affinity.network for affinity in await self._affinities.of_host(host)]
        return await self._release_all([(host, cidr) for cidr in cidrs], must_be_empty)

    async def release_pool(self, cidr: Network, *, must_be_empty: bool = False) -> list[Network]:
        """Release every host's blocks within a network, as before deleting a pool; the rest as `release_affinity`."""
        affinities = [
            (affinity.spec.node, affinity.network)
            for affinity in (await self._store.list(BlockAffinity)).objects
            if affinity.spec.type == "host" and lies_in(affinity.network, cidr)
        ]
        return await self._release_all(affinities, must_be_empty)

    async def adopt(self, host: str) -> None:
        """Bring the host's own affinities up to date when its agent starts: all labels, no claim half done.

        Its blocks are read, so that its first pod need not wait for that, and a release finds what no handle counts.
        """
        adopted = await self._affinities.adopt(host)
        self._held.adopt(host, adopted)
        for block in await asyncio.gather(*map(self._block, adopted), return_exceptions=True):
            if isinstance(block, IPAMBlock):
                self._writer.take_in(block)

    async def _release_all(self, affinities: Sequence[tuple[str, Network]], must_be_empty: bool) -> list[Network]:
        released, refused = [], []
        for host, cidr in affinities:
            try:
                await self._affinities.release(host, cidr, must_be_empty=must_be_empty)
            except (NotEmpty, ClaimConflict) as refusal:
                refused.append(refusal)
            else:
                released.append(cidr)
        if refused:
            raise refused[0]
        return released

    def _require_new(self, request: AddressesWanted) -> None:
        """Refuse a handle that was to be new, if a block holds something for it that no record counts."""
        if request.fresh and not self._store.atomic and self._writer.known.held(request.handle):
            raise HandleInUse(request.handle)

    async def _assign_family(
        self, request: AddressesWanted, version: int, count: int, context: HostContext, taken: dict[Address, Network]
    ) -> None:
        """Add `count` addresses of one family to `taken`, from the host's own blocks or borrowed."""
        pools = search.pools_for(
            context.pools,
            version,
            requested=request.pools4 if version == 4 else request.pools6,
            use=request.use,
            node=request.node,
            node_labels=context.node_labels,
            namespace_labels=request.namespace_labels,
        )
        wanted = Search(request.node, version, pools, context.reserved(version), context)
        before = len(taken)
        try:
            await self._from_host_blocks(request, wanted, count, taken)
            return
        except Exhausted as shortfall:
            reason = str(shortfall)
        got = len(taken) - before
        if not context.strict and context.claims_blocks:
            got += await self._borrow(request, wanted, count - got, taken)
        if got < count:
            raise Exhausted(
                f"assign {request.handle} on node {request.node}:"
                f" found {got} of {count} IPv{version} addresses: {reason}"
            )

    async def _from_host_blocks(
        self, request: AddressesWanted, wanted: Search, count: int, taken: dict[Address, Network]
    ) -> None:
        """Take `count` addresses from the host's blocks, claiming more as needed. Raises BlockLimit, Exhausted."""
        tried: set[Network] = set()
        missing = count
        for _ in range(ATTEMPTS):
            cidr = await self._finder.next(wanted, tried)
            tried.add(cidr)
            operation = _assign(request, missing, wanted.reserved, taken, request.node)
            try:
                found = await self._writer.submit(cidr, operation)
            except (MissingBlock, ForeignBlock, BadRecord):
                self._affinities.forget(request.node, cidr)
                continue
            taken |= dict.fromkeys(found, cidr)
            missing -= len(found)
            if not missing:
                return
        raise Contention(f"assign {request.handle}: lost {ATTEMPTS} blocks in a row to other hosts; try again later")

    async def _borrow(
        self, request: AddressesWanted, wanted: Search, missing: int, taken: dict[Address, Network]
    ) -> int:
        """Take addresses from any host's blocks, in the host's order of search; return how many."""
        got = 0
        known = (await self._store.list(IPAMBlock)).objects
        for block in search.existing_blocks(wanted.pools, known, wanted.host, self._now_ns()):
            if got == missing:
                break
            if not blocks.has_free(block, wanted.reserved.ordinals(block.network)):
                continue
            with suppress(MissingBlock):
                operation = _assign(request, missing - got, wanted.reserved, taken)
                found = await self._writer.submit(block.network, operation)
                taken |= dict.fromkeys(found, block.network)
                got += len(found)
        return got

    async def _undo(self, request: AddressesWanted, addresses: Sequence[Address]) -> None:
        """Release the addresses of a request that failed half way.

        If the store is away they stay assigned under the handle: its owner releases it.
        """
        if addresses:
            with suppress(IpamError, DatastoreError):
                await self.release(addresses, request.handle)

    async def _release_one(self, wanted: Release, pools: Iterable[IPPool]) -> Result:
        """Release an address from its block: as its pool has it, else any that holds it, as blocks outlive pools."""
        address = ip_network(wanted.address)
        if pool := search.pool_of(pools, address):
            with suppress(MissingBlock):
                return await self._release_in(search.block_around(pool, address), wanted)
        known = (block.network for block in (await self._store.list(IPAMBlock)).objects)
        cidr = next((cidr for cidr in known if lies_in(address, cidr)), None)
        return await self._release_from(cidr, wanted) if cidr else ()

    async def _release_from(self, cidr: Network, operation: Operation) -> Result:
        with suppress(MissingBlock):
            return await self._release_in(cidr, operation)
        return ()

    async def _release_in(self, cidr: Network, operation: Operation) -> Result:
        released = await self._writer.submit(cidr, operation)
        await self._release_unselected(cidr)
        return released

    async def _release_unselected(self, cidr: Network) -> None:
        """Release a block that has just become empty, if its pool no longer selects its host."""
        block = self._writer.known.get(cidr)
        host = affine_host(block.spec.affinity) if block and blocks.is_empty(block) else None
        if host is None:
            return
        with suppress(ClaimConflict, NotEmpty, BadRecord):
            context = await self._contexts.of(host)
            pool = search.pool_of(context.pools, cidr)
            if pool and not pool.selects_node(context.node_labels):
                await self._affinities.release(host, cidr, must_be_empty=True)

    async def _block(self, cidr: Network) -> IPAMBlock | None:
        return await found_or_none(self._store.get(IPAMBlock, cidr_name(str(cidr))))


def _assign(
    request: AddressesWanted,
    count: int,
    reserved: Reserved,
    taken: Collection[Address],
    only_for: str | None = None,
) -> AssignAny:
    """Return what asks a block for addresses. taken: those that the request has already."""
    before, companion = tuple(taken), request.companion
    are_last = len(before) + count == request.ipv4 + request.ipv6
    return AssignAny(
        request.handle,
        request.attributes,
        count,
        reserved,
        only_for,
        request.fresh and not before,
        companion=(lambda found: companion((*before, *found))) if companion and are_last else None,
    )
