"""Which host owns which block: claiming, repairing and releasing affinities, in the order shared with Calico.

A claim is written in three steps, so that two hosts never both believe they own a block: the affinity as pending, the
block with its owner, the affinity as confirmed. A release goes the other way round. Whoever finds a claim or a release
half done, its own host included, continues it from what it reads. An affinity's life:

    state            event                                                     next state
    ---------------  --------------------------------------------------------  ---------------
    none             claim: the affinity is created                            pending
    none             release, and the block names the host: it is re-created   pendingDeletion
    pending          the block is created, or is the host's and is rewritten   confirmed
    pending          the block belongs to another host                         none
    confirmed        repair: there is no block                                 pending
    confirmed        repair or release: the block belongs to another host      none
    confirmed        release                                                   pendingDeletion
    pendingDeletion  the block is deleted if empty, else left without owner    none
    pendingDeletion  claim, or the release is refused (in use, written since)  pending

Every arrow is a compare-and-swap on the affinity; a writer that loses the race reads again or raises ClaimConflict. The
empty state of records by old versions counts as confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import AlreadyExists, BadRecord, Conflict, NotFound
from datastore.fields import Network
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.store import Interest, Store
from ipam import block as blocks
from ipam.errors import ClaimConflict, Contention, NotEmpty
from ipam.names import (
    HOSTNAME_LABEL,
    TYPE_LABEL,
    affinity_labels,
    affinity_name,
    cidr_name,
    host_affinity,
    hostname_hash,
)

AffinityState = Literal["pending", "confirmed", "pendingDeletion"]
_NONE: frozenset[Network] = frozenset()


class Affinities:
    """The affinities of one store."""

    def __init__(self, store: Store, now_ns: Callable[[], int]) -> None:
        self._store = store
        self._now_ns = now_ns
        self._claimed: dict[str, frozenset[Network]] = {}

    def claimed(self, host: str) -> frozenset[Network]:
        """Return the host's blocks that were claimed through here; a hint, since others may have released them since.

        A watch tells of a claim later than the next pod needs it.
        """
        return self._claimed.get(host, _NONE)

    def forget(self, host: str, cidr: Network) -> None:
        """Count a block no more among those `claimed`: it was found to be gone, or another host's."""
        if cidr in self.claimed(host):
            self._claimed[host] -= {cidr}

    async def of_host(self, host: str) -> list[BlockAffinity]:
        """Return the host's affinities, by the labels they are listed by."""
        found = (await self._store.list(Interest(BlockAffinity, labels=_labels_of(host)))).objects
        return [affinity for affinity in found if is_listed(affinity, host)]

    async def adopt(self, host: str) -> list[Network]:
        """Add the labels that older versions left out of the host's affinities, and complete its half-done claims.

        Return the blocks that they are about.
        """
        adopted = []
        for affinity in (await self._store.list(BlockAffinity)).objects:
            if affinity.spec.node != host or affinity.spec.type != "host":
                continue
            adopted.append(affinity.network)
            if TYPE_LABEL not in affinity.metadata.labels:
                labels = {**affinity.metadata.labels, **affinity_labels(host, affinity.network.version)}
                try:
                    affinity = await self._store.update(affinity.with_metadata(labels=labels))
                except LOST_RACE:
                    continue
            if not affinity.confirmed:
                with suppress(ClaimConflict, BadRecord):
                    await self.repair(affinity)
        return adopted

    async def claim(self, host: str, cidr: Network) -> IPAMBlock:
        """Make the block this host's, and return it. Raises ClaimConflict: another host owns it, or was faster."""
        for _ in range(ATTEMPTS):
            affinity = await self._pending(host, cidr)
            if affinity is None:
                continue
            try:
                block = await self._store.create(blocks.new_block(cidr, host, self._now_ns()))
            except AlreadyExists:
                found = await self._block(cidr)
                if found is None:
                    continue
                if found.spec.affinity != host_affinity(host):
                    await self._delete(affinity)
                    owner = found.spec.affinity or "no host, but is not empty"
                    raise ClaimConflict(f"claim block {cidr} for node {host}: it belongs to {owner}") from None
                rewritten = await self._rewritten(found)
                if rewritten is None:
                    continue
                block = rewritten
            await self._confirm(affinity)
            return block
        raise Contention(f"claim block {cidr} for node {host}: lost {ATTEMPTS} races in a row; try again later")

    async def repair(self, affinity: BlockAffinity) -> bool:
        """Complete an affinity, or delete it if the block is another host's; True if it is confirmed then.

        Raises ClaimConflict: another process is changing it at this moment.
        """
        host, cidr = affinity.spec.node, affinity.network
        block = await self._block(cidr)
        if block is None:
            if await self._try_state(affinity, "pending"):
                await self.claim(host, cidr)
                return True
            raise ClaimConflict(f"claim block {cidr} for node {host} again: its affinity is being changed")
        if block.spec.affinity != host_affinity(host):
            await self._delete(affinity)
            return False
        if affinity.confirmed:
            return True
        pending = await self._try_state(affinity, "pending")
        if pending is None:
            raise ClaimConflict(f"confirm block {cidr} for node {host}: its affinity is being changed")
        if await self._rewritten(block) is None:
            raise ClaimConflict(f"confirm block {cidr} for node {host}: the block is being changed")
        await self._confirm(pending)
        return True

    async def release(
        self, host: str, cidr: Network, *, must_be_empty: bool = False, expected_sequence: int | None = None
    ) -> None:
        """Release a host's block: delete it if empty, else leave it without owner until its last address is released.

        Raises ClaimConflict: it is not this host's, was written since `expected_sequence` was read, or is being claimed
        again. NotEmpty: it was to be released only if empty. In both cases the host keeps its block.
        """
        self.forget(host, cidr)
        for _ in range(ATTEMPTS):
            affinity = await self._affinity(host, cidr)
            block = await self._block(cidr)
            if affinity is None:
                if block is None or block.spec.affinity != host_affinity(host):
                    return
                affinity = await self._recreated(host, cidr)
                if affinity is None:
                    continue
            if block is not None and block.spec.affinity != host_affinity(host):
                await self._delete(affinity)
                raise ClaimConflict(f"release block {cidr} of node {host}: it belongs to {block.spec.affinity}")
            if block is not None and expected_sequence not in (None, block.spec.sequence_number):
                await self._cancel_release(affinity)
                raise ClaimConflict(f"release block {cidr} of node {host}: it was written since it was read")
            if block is not None and must_be_empty and not blocks.is_empty(block):
                await self._cancel_release(affinity)
                raise NotEmpty(f"release block {cidr} of node {host}: addresses in it are in use")
            leaving = await self._try_state(affinity, "pendingDeletion")
            if leaving is None or not await self._remove_owner(block):
                continue
            try:
                await self._store.delete(leaving)
            except NotFound:
                return
            except Conflict:
                raise ClaimConflict(f"release block {cidr} of node {host}: it is being claimed again") from None
            return
        raise Contention(f"release block {cidr} of node {host}: lost {ATTEMPTS} races in a row; try again later")

    async def _rewritten(self, block: IPAMBlock) -> IPAMBlock | None:
        """Write the block unchanged, so that a release that read it earlier fails; None if this write lost a race."""
        try:
            return await self._store.update(blocks.with_next_sequence(block))
        except LOST_RACE:
            return None

    async def _remove_owner(self, block: IPAMBlock | None) -> bool:
        """Delete the block if it is empty, else remove its owner; False if it was written since it was read."""
        if block is None:
            return True
        try:
            if blocks.is_empty(block):
                await self._store.delete(block)
            else:
                await self._store.update(blocks.without_affinity(blocks.with_next_sequence(block)))
        except LOST_RACE:
            return False
        return True

    async def _pending(self, host: str, cidr: Network) -> BlockAffinity | None:
        """Return the host's affinity for the block, pending or confirmed; None if a write lost a race."""
        try:
            return await self._store.create(_affinity(host, cidr, "pending"))
        except AlreadyExists:
            existing = await self._affinity(host, cidr)
        if existing is None or existing.confirmed:
            return existing
        return await self._try_state(existing, "pending")

    async def _recreated(self, host: str, cidr: Network) -> BlockAffinity | None:
        """Create the missing affinity of a block that names this host, so that a claim by the host meets it."""
        try:
            return await self._store.create(_affinity(host, cidr, "pendingDeletion"))
        except AlreadyExists:
            return None

    async def _confirm(self, affinity: BlockAffinity) -> None:
        host, cidr = affinity.spec.node, affinity.network
        if await self._try_state(affinity, "confirmed") is None:
            current = await self._affinity(host, cidr)
            if current is None or not current.confirmed:
                raise ClaimConflict(f"confirm block {cidr} for node {host}: it is being released")
        self._claimed[host] = self.claimed(host) | {cidr}

    async def _cancel_release(self, affinity: BlockAffinity) -> None:
        """Undo a release that is refused; else the block would not be announced until its host repairs it."""
        if affinity.spec.state == "pendingDeletion":
            with suppress(ClaimConflict):
                await self.repair(affinity)

    async def _try_state(self, affinity: BlockAffinity, state: AffinityState) -> BlockAffinity | None:
        """Return the affinity as written with this state; None if another writer was faster."""
        try:
            return await self._store.update(affinity.with_spec(state=state))
        except LOST_RACE:
            return None

    async def _delete(self, affinity: BlockAffinity) -> None:
        self.forget(affinity.spec.node, affinity.network)
        try:
            await self._store.delete(affinity)
        except LOST_RACE:
            return

    async def _affinity(self, host: str, cidr: Network) -> BlockAffinity | None:
        return await found_or_none(self._store.get(BlockAffinity, affinity_name(host, str(cidr))))

    async def _block(self, cidr: Network) -> IPAMBlock | None:
        return await found_or_none(self._store.get(IPAMBlock, cidr_name(str(cidr))))


def is_listed(affinity: BlockAffinity, host: str) -> bool:
    """Whether a host finds this affinity when it lists its own."""
    labelled = _labels_of(host).items() <= affinity.labels.items()
    return labelled and affinity.spec.node == host and affinity.spec.type == "host"


def _labels_of(host: str) -> dict[str, str]:
    return {HOSTNAME_LABEL: hostname_hash(host), TYPE_LABEL: "host"}


def _affinity(host: str, cidr: Network, state: AffinityState) -> BlockAffinity:
    return BlockAffinity.make(
        affinity_name(host, str(cidr)),
        labels=affinity_labels(host, cidr.version),
        state=state,
        node=host,
        type="host",
        cidr=str(cidr),
        deleted="false",
    )
