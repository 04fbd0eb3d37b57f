"""Finding a block with room for a request: one the host owns, one to claim, one to take over from another host.

Searches of one host that run at the same time are served as one batch, so that a block claimed for the first of them is
found by all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from datastore.cas import ATTEMPTS, LOST_RACE
from datastore.errors import BadRecord, DatastoreError
from datastore.fields import Network
from datastore.group_commit import Batcher
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.pools import IPPool
from datastore.store import Store
from ipam import block as blocks
from ipam import search
from ipam.affinities import Affinities
from ipam.errors import BlockLimit, ClaimConflict, Contention, Exhausted, IpamError, NotEmpty
from ipam.host_context import HostContext
from ipam.names import affine_host
from ipam.reserved import Reserved


@dataclass(frozen=True, slots=True)
class Search:
    """One request's search for a block in these pools."""

    host: str
    version: int
    pools: tuple[IPPool, ...]
    reserved: Reserved
    context: HostContext


@dataclass(frozen=True, slots=True)
class _Retry:
    """A search that found no free address in these blocks."""

    search: Search
    tried: frozenset[Network]


class BlockFinder:
    """The searches of one process."""

    def __init__(
        self,
        store: Store,
        affinities: Affinities,
        now_ns: Callable[[], int],
        last_known: Callable[[Network], IPAMBlock | None] = lambda cidr: None,
    ) -> None:
        """last_known: a block as it was a while ago, as far as this process knows."""
        self._store, self._last_known = store, last_known
        self._affinities = affinities
        self._now_ns = now_ns
        self._batches: Batcher[tuple[str, int], _Retry, Network] = Batcher(self._find_batch)

    async def next(self, wanted: Search, tried: Iterable[Network]) -> Network:
        """Return a block of the host's that was not tried: one it is known to own, else one to be found or claimed.

        Blocks that were full when last seen come last: each costs a read. Raises BlockLimit, Exhausted, Contention.
        """
        own = search.own_blocks(wanted.context.affinities, wanted.pools)
        untried = [one.network for one in own if one.confirmed and one.network not in tried]
        if untried:
            return min(untried, key=lambda cidr: self._was_full(cidr, wanted.reserved))
        return await self._batches.submit((wanted.host, wanted.version), _Retry(wanted, frozenset(tried)))

    def _was_full(self, cidr: Network, reserved: Reserved) -> bool:
        block = self._last_known(cidr)
        return block is not None and not blocks.has_free(block, reserved.ordinals(cidr))

    async def _find_batch(self, key: tuple[str, int], retries: Sequence[_Retry]) -> Sequence[Network | Exception]:
        host, version = key
        affinities = [one for one in await self._affinities.of_host(host) if one.network.version == version]
        own = await self._usable(affinities, retries[0].search.context)
        found: list[Network | Exception] = []
        for retry in retries:
            try:
                found.append(await self._find(retry, own))
            except (IpamError, DatastoreError) as refusal:
                found.append(refusal)
        return found

    async def _usable(self, affinities: Sequence[BlockAffinity], context: HostContext) -> list[Network]:
        """Return the host's blocks: incomplete claims repaired, empty blocks released whose pool excludes the node."""
        usable = []
        for affinity in affinities:
            pool = search.pool_of(context.pools, affinity.network)
            with suppress(ClaimConflict, BadRecord):
                if pool and not pool.selects_node(context.node_labels):
                    with suppress(NotEmpty):
                        await self._affinities.release(affinity.spec.node, affinity.network, must_be_empty=True)
                        continue
                if await self._affinities.repair(affinity):
                    usable.append(affinity.network)
        return usable

    async def _find(self, retry: _Retry, own: list[Network]) -> Network:
        """Return one of the host's blocks, or claim another and add it to them."""
        wanted = retry.search
        for cidr in own:
            if cidr not in retry.tried and search.pool_of(wanted.pools, cidr):
                return cidr
        limit = search.block_limit(wanted.context.config)
        if len(own) >= limit:
            raise BlockLimit(
                f"claim a block for node {wanted.host}: it owns {len(own)} IPv{wanted.version} blocks, all full,"
                f" and may own {limit}; raise maxBlocksPerHost or free addresses"
            )
        if not wanted.context.claims_blocks:
            raise Exhausted("the node's blocks are full, and autoAllocateBlocks forbids claiming another")
        claimed = await self._claim(wanted)
        if claimed is None:
            borrowing = "; strictAffinity forbids borrowing" if wanted.context.strict else ""
            names = ", ".join(f"{pool.name} {pool.network}" for pool in wanted.pools)
            raise Exhausted(f"no address and no block is free in {names}{borrowing}")
        if claimed not in own:
            own.append(claimed)
        return claimed

    async def _claim(self, wanted: Search) -> Network | None:
        """Claim the next block in the host's order of search; None if there is none left to claim."""
        for _ in range(ATTEMPTS):
            known = await self._store.list(IPAMBlock)
            unread = frozenset(record.name for record in known.unreadable)
            candidates = search.find_block(
                wanted.pools, known.objects, wanted.host, wanted.reserved, self._now_ns(), unread
            )
            if candidates.claim is None:
                return await self._take_over(wanted.host, candidates.take_over)
            with suppress(ClaimConflict):
                await self._affinities.claim(wanted.host, candidates.claim)
                return candidates.claim
        raise Contention(f"claim a block for node {wanted.host}: lost {ATTEMPTS} races in a row; try again later")

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
                await self._affinities.claim(host, block.network)
                return block.network
        return None
