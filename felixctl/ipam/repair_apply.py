"""Carry out repairs of address records: each reads the record again and writes it by compare-and-swap.

An edge: `felixctl.ipam.repair_plan` decides.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress

from msgspec import Struct

from datastore.cas import ATTEMPTS, LOST_RACE, found_or_none
from datastore.errors import DatastoreError, NotFound
from datastore.fields import Network
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store, Update
from datastore.summaries import AnyEndpoint
from felixctl.ipam.repair_plan import (
    Action,
    AssignAddress,
    CompleteClaim,
    DeleteEndpoint,
    LabelAffinity,
    RecountHandle,
    ReleaseAddress,
    ReleaseBlock,
    Repair,
    RewriteBlock,
    WriteAffinity,
    consistent,
    labelled,
    recounted,
)
from ipam.affinities import Affinities
from ipam.allocator import AddressesWanted, Allocator
from ipam.block import faults, with_next_sequence
from ipam.errors import Contention, IpamError
from ipam.names import cidr_name, handle_name


class RepairResult(Struct, frozen=True):
    """What became of one repair."""

    repair: Repair
    refusal: str | None = None
    """Why it was not carried out; None if it was."""

    @property
    def sentence(self) -> str:
        return f"{self.repair.sentence}: {'done' if self.refusal is None else f'left alone: {self.refusal}'}"


async def carry_out(store: Store, repairs: Sequence[Repair]) -> list[RepairResult]:
    """Try every repair, also after one was refused."""
    done = []
    for repair in repairs:
        try:
            await _do(store, repair.action)
        except (DatastoreError, IpamError) as error:
            done.append(RepairResult(repair, str(error)))
        else:
            done.append(RepairResult(repair))
    return done


async def _do(store: Store, action: Action) -> None:
    match action:
        case DeleteEndpoint(endpoint):
            with suppress(NotFound):
                await _delete_endpoint(store, endpoint)
        case ReleaseAddress(release):
            await Allocator(store).release([release])
        case AssignAddress(address, node, handle, attributes):
            await Allocator(store).assign_address(address, AddressesWanted(node, handle, attributes))
        case RecountHandle(handle, cidrs):
            await _recount_handle(store, handle, cidrs)
        case RewriteBlock(cidr):
            await _rewrite_block(store, cidr)
        case CompleteClaim(affinity):
            await Affinities(store, time.time_ns).repair(affinity)
        case LabelAffinity(affinity):
            await store.update(labelled(affinity))
        case WriteAffinity(host, cidr):
            await Affinities(store, time.time_ns).claim(host, cidr)
        case ReleaseBlock(host, cidr):
            await Affinities(store, time.time_ns).release(host, cidr, must_be_empty=True)


async def _delete_endpoint(store: Store, endpoint: AnyEndpoint) -> None:
    """Raises Conflict: it is not as it was read, or another of its name. Raises NotFound."""
    found = await store.get(WorkloadEndpoint, endpoint.name, endpoint.namespace)
    await store.delete(found.with_metadata(resource_version=endpoint.revision))


async def _recount_handle(store: Store, handle: str, cidrs: Collection[str]) -> None:
    for _ in range(ATTEMPTS):
        record = await _handle(store, handle)
        named = {*cidrs, *(record.spec.block if record else ())}
        blocks = [block for cidr in sorted(named) if (block := await _block(store, cidr))]
        try:
            await store.write(*recounted(handle, record, blocks))
        except LOST_RACE:
            continue
        return
    raise Contention(f"recount handle {handle}: lost {ATTEMPTS} races in a row; check again later")


async def _block(store: Store, cidr: str) -> IPAMBlock | None:
    return await found_or_none(store.get(IPAMBlock, cidr_name(cidr)))


async def _handle(store: Store, handle: str) -> IPAMHandle | None:
    return await found_or_none(store.get(IPAMHandle, handle_name(handle)))


async def _rewrite_block(store: Store, cidr: Network) -> None:
    """Rewrite a block from what it and the endpoints contain now."""
    for _ in range(ATTEMPTS):
        block = await store.get(IPAMBlock, cidr_name(str(cidr)))
        endpoints = (await store.list(WorkloadEndpoint)).complete()
        used = {address for endpoint in endpoints for address in endpoint.addresses}
        rewritten = consistent(block, used) if faults(block) else None
        if rewritten is None:
            return
        try:
            await store.write(Update(with_next_sequence(rewritten)))
        except LOST_RACE:
            continue
        return
    raise Contention(f"rewrite block {cidr}: lost {ATTEMPTS} races in a row; check again later")
