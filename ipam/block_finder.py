"""Finding a block with room for a request: one the host owns, one to claim, one to take over from another host.

Searches of one host that run at the same time are served as one batch, so that a block claimed for the first of them is
found by all the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from typing import NamedTuple

from msgspec import Struct, field

from datastore.cas import ATTEMPTS, LOST_RACE
from datastore.errors import BadRecord, DatastoreError
from datastore.fields import Network
from datastore.group_commit import Batcher
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.pools import IPPool
from datastore.pool_rules import overlap
from datastore.store import Store
from ipam import search
from ipam.affinities import Affinities
from ipam.block_writer import BlockWriter, MissingBlock
from ipam.errors import BlockLimit, ClaimConflict, Contention, Exhausted, ForeignBlock, IpamError, NotEmpty
from ipam.host_context import HostContext, HostContexts
from ipam.names import affine_host
from ipam.reserved import Reserved


class Search(Struct, frozen=True):
    """One request's search for a block in these pools."""

    host: str
    version: int
    pools: tuple[IPPool, ...]
    reserved: Reserved
    context: HostContext


class _Retry(Struct, frozen=True, eq=False):
    """A search that found no free address in these blocks."""

    search: Search
    tried: frozenset[Network]


COLLISIONS = 3
"""How many blocks that turn out to be others' are passed over before all are listed."""
FULL_FOR_SECONDS = 10
"""For how long a block that was full counts as full, unless there is no other way: finding out costs a read."""


class _OwnBlocks(Struct):
    """The host's blocks of one family, as one batch of searches learns about them."""

    affinities: Mapping[Network, BlockAffinity]
    usable: set[Network]
    latest: Network | None = None
    looked_at: set[Network] = field(default_factory=set)
    repaired: set[Network] = field(default_factory=set)


class _Owned(NamedTuple):
    """The host's blocks, in the order of these pools, and what this was made of."""

    affinities: tuple[BlockAffinity, ...]
    claimed: frozenset[Network]
    pools: tuple[IPPool, ...]
    blocks: tuple[Network, ...]


class BlockFinder:
    """The searches of one process."""

    def __init__(
        self,
        store: Store,
        affinities: Affinities,
        contexts: HostContexts,
        writer: BlockWriter,
        now_ns: Callable[[], int],
    ) -> None:
        self._store, self._affinities, self._contexts, self._writer = store, affinities, contexts, writer
        self._now_ns = now_ns
        self._owned: dict[tuple[str, int], _Owned] = {}
        self._last: dict[tuple[str, int], Network] = {}
        """The block that the last request got: most likely the one with room."""
        self._promised: dict[_Retry, Network | None] = {}
        """What was found, or is being looked for, for searches that have yet to ask for an address there."""
        self._occupied: frozenset[Network] = frozenset()
        """Blocks that were there when all were last read, whether or not a host claims them."""
        self._batches: Batcher[tuple[str, int], _Retry, Network] = Batcher(self._find_batch)

    async def next(self, wanted: Search, tried: Collection[Network]) -> Network:
        """Return a block of the host's: one it is known to own that seems to have room, else one found or claimed.

        Raises BlockLimit, Exhausted, Contention.
        """
        own = self._known_own(wanted)
        last = self._last.get((wanted.host, wanted.version))
        for cidr in (last, *own) if last in own else own:
            if cidr is not None and cidr not in tried and self._room(cidr, wanted) != 0:
                self._last[wanted.host, wanted.version] = cidr
                return cidr
        retry = _Retry(wanted, frozenset(tried))
        self._promised[retry] = None
        try:
            return await self._batches.submit((wanted.host, wanted.version), retry)
        finally:
            self._promised.pop(retry, None)

    async def claim(self, host: str, pool: IPPool, cidr: Network) -> None:
        """Claim a block of a pool. Raises ClaimConflict: another host has it, or a block of another size some of it."""
        existing = [block.network for block in (await self._store.list(IPAMBlock)).objects]
        if search.shared_with_others(pool, existing).covers(cidr):
            other = next(one for one in existing if one != cidr and overlap(one, cidr))
            raise ClaimConflict(
                f"claim block {cidr} of pool {pool.name} for node {host}: block {other}, which is of another size, has"
                " addresses of it; ask for an address outside of that block"
            )
        await self._claimed(host, cidr)

    def _known_own(self, wanted: Search) -> tuple[Network, ...]:
        """Return the host's blocks in these pools, as far as is known; worked out again when anything of it changes."""
        affinities, claimed = wanted.context.affinities, self._affinities.claimed(wanted.host)
        made = self._owned.get((wanted.host, wanted.version))
        if made and made.affinities is affinities and made.claimed is claimed and made.pools == wanted.pools:
            return made.blocks
        known = {one.network for one in affinities if one.confirmed} | self._claimed_here(wanted.host, affinities)
        made = _Owned(affinities, claimed, wanted.pools, search.own_blocks(known, wanted.pools))
        self._owned[wanted.host, wanted.version] = made
        return made.blocks

    def _claimed_here(self, host: str, affinities: Iterable[BlockAffinity]) -> Set[Network]:
        """Return the blocks whose claim the watch has yet to report as complete; none of which a release has begun."""
        if self._contexts.claimed() is None:
            return frozenset()
        leaving = {one.network for one in affinities if one.spec.state == "pendingDeletion"}
        return self._affinities.claimed(host) - leaving

    def _room(self, cidr: Network, wanted: Search) -> int | None:
        """Return how many addresses the block has for those that have not asked for them yet; None: it is not known."""
        room = self._writer.room(cidr, wanted.host, wanted.reserved)
        return room and max(0, room - sum(promised == cidr for promised in self._promised.values()))

    async def _find_batch(self, key: tuple[str, int], retries: Sequence[_Retry]) -> Sequence[Network | Exception]:
        host, version = key
        affinities = {
            one.network: one for one in await self._contexts.affinities(host) if one.network.version == version
        }
        claimed = {one for one in self._claimed_here(host, affinities.values()) if one.version == version}
        usable = await self._usable(affinities.values(), claimed, retries[0].search.context)
        own = _OwnBlocks(affinities, usable | (claimed & self._affinities.claimed(host)))
        found: list[Network | Exception] = []
        for retry in retries:
            try:
                block = await self._find(retry, own)
                if retry in self._promised:  # else it was cancelled, and asks for no address
                    self._promised[retry] = block
                found.append(block)
            except (IpamError, DatastoreError) as refusal:
                found.append(refusal)
        return found

    async def _usable(
        self, affinities: Iterable[BlockAffinity], claimed: Collection[Network], context: HostContext
    ) -> set[Network]:
        """Return the host's blocks: incomplete claims repaired, empty blocks released whose pool excludes the node."""
        usable = set()
        for affinity in affinities:
            host, cidr = affinity.spec.node, affinity.network
            pool = search.pool_of(context.pools, cidr)
            with suppress(ClaimConflict, BadRecord):
                if pool and not pool.selects_node(context.node_labels):
                    with suppress(NotEmpty):
                        await self._affinities.release(host, cidr, must_be_empty=True)
                        continue
                if affinity.confirmed or cidr in claimed or await self._repair(affinity):
                    usable.add(cidr)
        return usable

    async def _find(self, retry: _Retry, own: _OwnBlocks) -> Network:
        """Return one of the host's blocks, or claim another and add it to them.

        Before another is claimed those are read that have been full for a while, and before none is found all of them:
        other processes release addresses too.
        """
        wanted = retry.search
        refusal = _why_no_claim(wanted, len(own.usable))
        if own.latest and search.pool_of(wanted.pools, own.latest) and self._room(own.latest, wanted):
            return own.latest  # as claimed for the search before this one
        found = self._with_room(retry, own)
        if found is None:
            await self._look_again(wanted, own, self._now_ns() - FULL_FOR_SECONDS * 10**9)
            found = self._with_room(retry, own)
        if found is None and refusal is None:
            found = await self._claim(wanted, own)
        if found is None:
            await self._look_again(wanted, own, self._now_ns())
            found = self._with_room(retry, own)
        if found is None:
            borrowing = "; strictAffinity forbids borrowing" if wanted.context.strict else ""
            names = ", ".join(f"{pool.name} {pool.network}" for pool in wanted.pools)
            raise refusal or Exhausted(f"no address and no block is free in {names}{borrowing}")
        own.usable.add(found)
        own.latest = found
        return found

    def _with_room(self, retry: _Retry, own: _OwnBlocks) -> Network | None:
        """Return a block with room; one of which that is not known, only if this request has not tried it."""
        tried = retry.tried - own.repaired
        for cidr in search.own_blocks(own.usable, retry.search.pools):
            room = self._room(cidr, retry.search)
            if room or (room is None and cidr not in tried):
                return cidr
        return None

    async def _look_again(self, wanted: Search, own: _OwnBlocks, before_ns: int) -> None:
        """Read those of the host's blocks that were last seen before this time, at most once in a batch.

        What is claimed without a block, or with another's, is repaired.
        """
        unseen = [
            cidr
            for cidr in search.own_blocks(own.usable, wanted.pools)
            if cidr not in own.looked_at and self._writer.known.seen_ns(cidr, wanted.host) <= before_ns
        ]
        own.looked_at.update(unseen)
        looks = (self._writer.look(cidr, wanted.host) for cidr in unseen)
        for cidr, failure in zip(unseen, await asyncio.gather(*looks, return_exceptions=True), strict=True):
            match failure:
                case MissingBlock() | ForeignBlock():
                    self._affinities.forget(wanted.host, cidr)
                    affinity = own.affinities.get(cidr)
                    if affinity and await self._repair(affinity):
                        own.repaired.add(cidr)
                    else:
                        own.usable.remove(cidr)
                case BadRecord() | None:
                    pass
                case _:
                    raise failure

    async def _repair(self, affinity: BlockAffinity) -> bool:
        with suppress(ClaimConflict, BadRecord):
            return await self._affinities.repair(affinity)
        return False

    async def _claim(self, wanted: Search, own: _OwnBlocks) -> Network | None:
        """Claim the next block in the host's order of search; None if there is none left to claim."""
        if (unclaimed := await self._claim_unclaimed(wanted, own)) is not None:
            return unclaimed
        for _ in range(ATTEMPTS):
            known = await self._store.list(IPAMBlock)
            self._occupied = frozenset(block.network for block in known.objects)
            unread = frozenset(record.name for record in known.unreadable)
            candidates = search.find_block(
                wanted.pools, known.objects, wanted.host, wanted.reserved, self._now_ns(), unread
            )
            if candidates.claim is None:
                return await self._take_over(wanted.host, candidates.take_over)
            with suppress(ClaimConflict):
                return await self._claimed(wanted.host, candidates.claim)
        raise Contention(f"claim a block for node {wanted.host}: lost {ATTEMPTS} races in a row; try again later")

    async def _claim_unclaimed(self, wanted: Search, own: _OwnBlocks) -> Network | None:
        """Claim the next block that nobody has claimed as far as the watch says; None if there is none, or no watch."""
        claimed = self._contexts.claimed()
        if claimed is None:
            return None
        for _ in range(COLLISIONS):
            taken = {*claimed, *own.usable, *self._occupied}
            likely = search.next_unclaimed(wanted.pools, wanted.host, wanted.reserved, self._now_ns(), taken)
            if likely is None:
                return None
            try:
                return await self._claimed(wanted.host, likely)
            except (ClaimConflict, BadRecord):
                self._occupied |= {likely}
        return None

    async def _claimed(self, host: str, cidr: Network) -> Network:
        """Claim a block and return it. Raises ClaimConflict."""
        self._writer.take_in(await self._affinities.claim(host, cidr))
        return cidr

    async def _take_over(self, host: str, empty: Iterable[IPAMBlock]) -> Network | None:
        """Claim the first of these empty blocks that its owner does not use or claim again meanwhile."""
        for block in empty:
            with suppress(ClaimConflict, NotEmpty, *LOST_RACE):
                owner = affine_host(block.spec.affinity)
                if owner is None:
                    await self._store.delete(block)
                else:
                    await self._affinities.release(
                        owner, block.network, must_be_empty=True, expected_sequence=block.spec.sequence_number
                    )
                return await self._claimed(host, block.network)
        return None


def _why_no_claim(wanted: Search, owned: int) -> IpamError | None:
    """Return why the host, which owns so many blocks, may not claim another; None: it may."""
    limit = search.block_limit(wanted.context.config)
    if owned >= limit:
        return BlockLimit(
            f"claim a block for node {wanted.host}: it owns {owned} IPv{wanted.version} blocks, all full,"
            f" and may own {limit}; raise maxBlocksPerHost or free addresses"
        )
    if not wanted.context.claims_blocks:
        return Exhausted("the node's blocks are full, and autoAllocateBlocks forbids claiming another")
    return None
