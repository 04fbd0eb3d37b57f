"""Finding a block with room for a request: one the host owns, one to claim, one to take over from another host.

Requests of one host that search at the same time are served in one round, so that a block claimed for the first of them
is found by all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from datastore.cas import ATTEMPTS, LOST_RACE
from datastore.errors import DatastoreError
from datastore.fields import Network
from datastore.group_commit import Batcher
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.pools import IPPool
from datastore.store import Store
from ipam import search
from ipam.affinities import Affinities
from ipam.errors import BlockLimit, ClaimConflict, Contention, Exhausted, IpamError, NotEmpty
from ipam.host_context import HostContext
from ipam.names import affine_host
from ipam.reserved import Reserved


@dataclass(frozen=True, slots=True)
class Search:
    """One request's search for room in these pools."""

    host: str
    version: int
    pools: tuple[IPPool, ...]
    reserved: Reserved
    view: HostContext
    max_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class _Further:
    """A search that found no room in these blocks."""

    search: Search
    tried: frozenset[Network]


class BlockFinder:
    """The searches of one process."""

    def __init__(self, store: Store, claims: Affinities, now_ns: Callable[[], int]) -> None:
        self._store = store
        self._claims = claims
        self._now_ns = now_ns
        self._rounds: Batcher[tuple[str, int], _Further, Network] = Batcher(self._serve)

    async def next(self, wanted: Search, tried: Iterable[Network]) -> Network:
        """Return a block of the host's that was not tried: one it is known to own, else one to be found or claimed.

        Raises BlockLimit, Exhausted, Contention.
        """
        for affinity in search.own_blocks(wanted.view.affinities, wanted.pools):
            if affinity.confirmed and affinity.network not in tried:
                return affinity.network
        return await self._rounds.submit((wanted.host, wanted.version), _Further(wanted, frozenset(tried)))

    async def _serve(self, key: tuple[str, int], asked: Sequence[_Further]) -> Sequence[Network | Exception]:
        host, version = key
        claimed = [affinity for affinity in await self._claims.of_host(host) if affinity.network.version == version]
        own = await self._usable(claimed, asked[0].search.view)
        answers: list[Network | Exception] = []
        for further in asked:
            try:
                answers.append(await self._room(further, own))
            except (IpamError, DatastoreError) as refusal:
                answers.append(refusal)
        return answers

    async def _usable(self, claimed: Sequence[BlockAffinity], view: HostContext) -> list[Network]:
        """Return the host's blocks: half-done claims repaired, and empty ones given up whose pool forsook the node."""
        usable = []
        for affinity in claimed:
            pool = search.pool_of(view.pools, affinity.network)
            with suppress(ClaimConflict):
                if pool and not pool.selects_node(view.node_labels):
                    with suppress(NotEmpty):
                        await self._claims.release(affinity.spec.node, affinity.network, must_be_empty=True)
                        continue
                if await self._claims.repair(affinity):
                    usable.append(affinity.network)
        return usable

    async def _room(self, further: _Further, own: list[Network]) -> Network:
        """Return one of the host's blocks, or claim another and add it to them."""
        wanted = further.search
        for cidr in own:
            if cidr not in further.tried and search.pool_of(wanted.pools, cidr):
                return cidr
        limit = search.block_limit(wanted.view.config, wanted.max_blocks)
        if len(own) >= limit:
            raise BlockLimit(
                f"claim a block for node {wanted.host}: it owns {len(own)} IPv{wanted.version} blocks, all full,"
                f" and may own {limit}; raise maxBlocksPerHost or free addresses"
            )
        if not wanted.view.claims_blocks:
            raise Exhausted("the node's blocks are full, and autoAllocateBlocks forbids claiming another")
        claimed = await self._claim(wanted)
        if claimed is None:
            borrowing = "; strictAffinity forbids borrowing" if wanted.view.strict else ""
            names = ", ".join(f"{pool.name} {pool.network}" for pool in wanted.pools)
            raise Exhausted(f"no address and no block is free in {names}{borrowing}")
        if claimed not in own:
            own.append(claimed)
        return claimed

    async def _claim(self, wanted: Search) -> Network | None:
        """Claim the next block in the host's order of search; None if there is none left to claim."""
        for _ in range(ATTEMPTS):
            known = (await self._store.list(IPAMBlock)).objects
            found = search.find_block(wanted.pools, known, wanted.host, wanted.reserved, self._now_ns())
            if found.claim is None:
                return await self._take_over(wanted.host, found.take_over)
            with suppress(ClaimConflict):
                await self._claims.claim(wanted.host, found.claim)
                return found.claim
        raise Contention(f"claim a block for node {wanted.host}: others were quicker {ATTEMPTS} times; try again later")

    async def _take_over(self, host: str, empty: Iterable[IPAMBlock]) -> Network | None:
        """Claim the first of these empty blocks that nobody defends."""
        for block in empty:
            with suppress(ClaimConflict, NotEmpty, *LOST_RACE):
                owner = affine_host(block.spec.affinity)
                if owner is None:
                    await self._store.delete(block)
                else:
                    await self._claims.release(
                        owner, block.network, must_be_empty=True, expected_sequence=block.spec.sequence_number
                    )
                await self._claims.claim(host, block.network)
                return block.network
        return None
