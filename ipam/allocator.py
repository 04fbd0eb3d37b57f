"""Giving addresses out and taking them back: the verbs of this room.

Everything is decided from what was just read and settled by compare-and-swap; what is remembered between requests is
nothing. Requests of one process that need the same reading or the same block share it (see `rounds`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_network

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import DatastoreError
from datastore.fields import Address, Network, network
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.pools import IPPool, Use
from datastore.store import Store, WatchEvent
from ipam import block as blocks
from ipam import search
from ipam.affinities import Affinities
from ipam.batch import Ask, Assign, AssignAt, Release, ReleaseHandle
from ipam.block_finder import BlockFinder, Search
from ipam.block_writer import BlockWriter, MissingBlock
from ipam.errors import BlockLimit, ClaimConflict, Contention, Exhausted, ForeignBlock, IpamError, NotEmpty, NotInPool
from ipam.host_context import HostContext, HostContexts
from ipam.names import affine_host, cidr_name, handle_name
from ipam.reserved import Reserved
from net.address_range import lies_in


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody needs addresses for."""

    node: str
    handle: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    ipv4: int = 1
    ipv6: int = 0
    pools4: tuple[str, ...] = ()
    """Names or CIDRs of pools to choose from, their selectors notwithstanding; none: those that select the node."""
    pools6: tuple[str, ...] = ()
    use: Use = "Workload"
    namespace_labels: Mapping[str, str] | None = None
    max_blocks: int | None = None
    partial: bool = False
    """Content with fewer addresses than asked for, none even; the assignment's messages say why."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The addresses a request got, and the block that each came from."""

    ipv4: tuple[IPv4Address, ...] = ()
    ipv6: tuple[IPv6Address, ...] = ()
    blocks: Mapping[Address, Network] = field(default_factory=dict)
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Released:
    """What a release found: addresses it freed, and addresses that nobody had."""

    released: tuple[Address, ...] = ()
    unassigned: tuple[Address, ...] = ()


class Allocator:
    """Addresses from the pools of one store, for whoever runs in this event loop."""

    def __init__(self, store: Store, *, now: Callable[[], int] = time.time_ns) -> None:
        self._store = store
        self._now_ns = now
        self._claims = Affinities(store, now)
        self._views = HostContexts(store, self._claims)
        self._rooms = BlockFinder(store, self._claims, now)
        self._commits = BlockWriter(store, now, self._views.cooldown_seconds)

    async def follow(self) -> None:
        """Keep what was read of pools and settings until the store tells that it changed. Runs until cancelled.

        Without it each request reads them. A change counts a moment later with it, as if the request had come earlier.
        """
        await self._views.follow()

    def notice(self, event: WatchEvent) -> None:
        """As `follow`, for an agent that watches the store anyway: to be told every event of its watch."""
        self._views.notice(event)

    async def assign(self, request: Request) -> Assignment:
        """Assign all the addresses of a request, or none (unless it is content with fewer).

        Not idempotent: asking again gives more. Raises NoPools, BadPool, BlockLimit, Exhausted, Contention. After
        DatastoreError or a cancellation something may have been assigned: release the handle.
        """
        view = await self._views.of(request.node)
        taken: dict[Address, Network] = {}
        messages: list[str] = []
        try:
            for version, count in ((4, request.ipv4), (6, request.ipv6)):
                if count:
                    messages += await self._assign_family(request, version, count, view, taken)
        except BaseException:
            await asyncio.shield(self._give_back(request, tuple(taken)))
            raise
        return Assignment(
            tuple(address for address in taken if isinstance(address, IPv4Address)),
            tuple(address for address in taken if isinstance(address, IPv6Address)),
            taken,
            tuple(messages),
        )

    async def assign_address(self, address: Address, request: Request) -> Assignment:
        """Assign this one address to the request's handle; its counts and pools do not matter.

        Not idempotent. Raises NotInPool, AlreadyAssigned, ForeignBlock (affinity is strict), ClaimConflict, Contention.
        """
        view = await self._views.of(request.node)
        wanted = ip_network(address)
        pool = search.pool_of((pool for pool in view.pools if pool.allocatable), wanted)
        if pool is None:
            raise NotInPool(f"assign {address} to {request.handle}: it lies in no enabled pool; choose one that does")
        cidr = search.block_around(pool, wanted)
        only_for = request.node if view.strict else None
        ask = AssignAt(request.handle, request.attributes, address, only_for)
        for _ in range(ATTEMPTS):
            try:
                await self._commits.ask(cidr, ask)
            except MissingBlock:
                await self._claims.claim(request.node, cidr)
                continue
            found = {address: cidr}
            if isinstance(address, IPv4Address):
                return Assignment(ipv4=(address,), blocks=found)
            return Assignment(ipv6=(address,), blocks=found)
        raise Contention(f"assign {address} to {request.handle}: its block vanished {ATTEMPTS} times in a row")

    async def held(self, handle: str) -> dict[Address, Network]:
        """Return the addresses assigned under a handle, each with its block."""
        record = await self._handle(handle)
        found: dict[Address, Network] = {}
        for cidr in record.spec.block if record else ():
            block = await self._block(network(cidr))
            if block:
                found |= {blocks.address_of(block, ordinal): block.network for ordinal in blocks.held_by(block, handle)}
        return found

    async def release(self, addresses: Iterable[Address | Release], handle: str | None = None) -> Released:
        """Release addresses; with a handle or a sequence only if they are still assigned that way.

        What nobody has is reported, not refused. Raises WrongOwner when all the others have been released.
        """
        asks = dict.fromkeys(wanted if isinstance(wanted, Release) else Release(wanted, handle) for wanted in addresses)
        pools = (await self._store.list(IPPool)).objects
        answers = await asyncio.gather(*(self._release_one(ask, pools) for ask in asks), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        freed = {address for answer in answers if not isinstance(answer, BaseException) for address in answer}
        return Released(
            tuple(ask.address for ask in asks if ask.address in freed),
            tuple(ask.address for ask in asks if ask.address not in freed),
        )

    async def release_handle(self, handle: str) -> list[Address]:
        """Release whatever is assigned under a handle and return it. An unknown handle has nothing: no error."""
        record = await self._handle(handle)
        if record is None:
            return []
        cidrs = [network(cidr) for cidr in record.spec.block]
        found = await asyncio.gather(*(self._release_from(cidr, ReleaseHandle(handle, record)) for cidr in cidrs))
        if self._store.atomic and not all(found):
            await self._drop_hollow(record)
        return [address for answer in found for address in answer]

    async def release_affinity(
        self, host: str, cidr: Network | None = None, *, must_be_empty: bool = False
    ) -> list[Network]:
        """Give up one block of a host, or all of them, and return which.

        Raises NotEmpty or ClaimConflict when all that could be given up has been.
        """
        cidrs = [cidr] if cidr else [affinity.network for affinity in await self._claims.of_host(host)]
        return await self._release_all([(host, cidr) for cidr in cidrs], must_be_empty)

    async def release_pool(self, cidr: Network, *, must_be_empty: bool = False) -> list[Network]:
        """Give up every host's blocks within a network, as before deleting a pool; the rest as `release_affinity`."""
        affinities = [
            (affinity.spec.node, affinity.network)
            for affinity in (await self._store.list(BlockAffinity)).objects
            if affinity.spec.type == "host" and lies_in(affinity.network, cidr)
        ]
        return await self._release_all(affinities, must_be_empty)

    async def adopt(self, host: str) -> None:
        """Make the host's own affinities whole: labels of today, no claim half done. For the start of an agent."""
        await self._claims.adopt(host)

    async def _release_all(self, affinities: Sequence[tuple[str, Network]], must_be_empty: bool) -> list[Network]:
        released, refused = [], []
        for host, cidr in affinities:
            try:
                await self._claims.release(host, cidr, must_be_empty=must_be_empty)
            except (NotEmpty, ClaimConflict) as refusal:
                refused.append(refusal)
            else:
                released.append(cidr)
        if refused:
            raise refused[0]
        return released

    async def _assign_family(
        self, request: Request, version: int, count: int, view: HostContext, taken: dict[Address, Network]
    ) -> list[str]:
        """Add addresses of one family to `taken`; return why there are fewer than `count`, if there are."""
        pools = search.pools_for(
            view.pools,
            version,
            requested=request.pools4 if version == 4 else request.pools6,
            use=request.use,
            node=request.node,
            node_labels=view.node_labels,
            namespace_labels=request.namespace_labels,
        )
        wanted = Search(request.node, version, pools, view.reserved(version), view, request.max_blocks)
        before = len(taken)
        try:
            await self._from_own_blocks(request, wanted, count, taken)
            return []
        except Exhausted as shortfall:
            why = str(shortfall)
        except BlockLimit as shortfall:
            if not request.partial:
                raise
            return [str(shortfall)]
        got = len(taken) - before
        if not view.strict and view.claims_blocks:
            got += await self._borrow(request, wanted, count - got, taken)
        if got < count and not request.partial:
            raise Exhausted(
                f"assign {request.handle} on node {request.node}: found {got} of {count} IPv{version} addresses: {why}"
            )
        return [why] if got < count else []

    async def _from_own_blocks(
        self, request: Request, wanted: Search, count: int, taken: dict[Address, Network]
    ) -> None:
        """Take `count` addresses from the host's blocks, claiming more as needed. Raises BlockLimit, Exhausted."""
        tried: set[Network] = set()
        missing = count
        for _ in range(ATTEMPTS):
            cidr = await self._rooms.next(wanted, tried)
            tried.add(cidr)
            try:
                found = await self._commits.ask(cidr, _assign(request, missing, wanted.reserved, only_for=request.node))
            except (MissingBlock, ForeignBlock):
                continue
            taken |= dict.fromkeys(found, cidr)
            missing -= len(found)
            if not missing:
                return
        raise Contention(f"assign {request.handle}: {ATTEMPTS} blocks were taken by others first; try again later")

    async def _borrow(self, request: Request, wanted: Search, missing: int, taken: dict[Address, Network]) -> int:
        """Take addresses from anybody's blocks, in the host's order of search; return how many."""
        got = 0
        known = (await self._store.list(IPAMBlock)).objects
        for block in search.existing_blocks(wanted.pools, known, wanted.host, self._now_ns()):
            if got == missing:
                break
            if not blocks.has_free(block, wanted.reserved.ordinals(block.network)):
                continue
            with suppress(MissingBlock):
                found = await self._commits.ask(block.network, _assign(request, missing - got, wanted.reserved))
                taken |= dict.fromkeys(found, block.network)
                got += len(found)
        return got

    async def _give_back(self, request: Request, addresses: Sequence[Address]) -> None:
        """Undo a request that failed half way. With the store away the handle keeps them, for its owner to free."""
        if addresses:
            with suppress(IpamError, DatastoreError):
                await self.release(addresses, request.handle)

    async def _release_one(self, ask: Release, pools: Iterable[IPPool]) -> tuple[Address, ...]:
        cidr = await self._block_of(ask.address, pools)
        return await self._release_from(cidr, ask) if cidr else ()

    async def _release_from(self, cidr: Network, ask: Ask) -> tuple[Address, ...]:
        try:
            released = await self._commits.ask(cidr, ask)
        except MissingBlock:
            return ()
        await self._give_up_forsaken(cidr)
        return released

    async def _give_up_forsaken(self, cidr: Network) -> None:
        """Release a block that has just become empty, if its pool does not select its host any more."""
        block = self._commits.last_written(cidr)
        host = affine_host(block.spec.affinity) if block and blocks.is_empty(block) else None
        if host is None:
            return
        view = await self._views.of(host)
        pool = search.pool_of(view.pools, cidr)
        if pool and not pool.selects_node(view.node_labels):
            with suppress(ClaimConflict, NotEmpty):
                await self._claims.release(host, cidr, must_be_empty=True)

    async def _block_of(self, address: Address, pools: Iterable[IPPool]) -> Network | None:
        """Return the block an address lies in. Blocks outlive their pool, so without one they are looked through."""
        wanted = ip_network(address)
        pool = search.pool_of(pools, wanted)
        if pool:
            return search.block_around(pool, wanted)
        known = (block.network for block in (await self._store.list(IPAMBlock)).objects)
        return next((cidr for cidr in known if lies_in(wanted, cidr)), None)

    async def _drop_hollow(self, read: IPAMHandle) -> None:
        """Delete a handle that counts addresses no block holds, if it still is as it was before the blocks were read.

        Only where handle and block are written together: elsewhere an assignment may be under way between the two.
        """
        with suppress(*LOST_RACE):
            await self._store.delete(read)

    async def _handle(self, handle: str) -> IPAMHandle | None:
        return await found_or_none(self._store.get(IPAMHandle, handle_name(handle)))

    async def _block(self, cidr: Network) -> IPAMBlock | None:
        return await found_or_none(self._store.get(IPAMBlock, cidr_name(str(cidr))))


def _assign(request: Request, count: int, reserved: Reserved, only_for: str | None = None) -> Assign:
    return Assign(request.handle, request.attributes, count, reserved, only_for)
