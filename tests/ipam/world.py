"""Resources to test addresses with, and what must always hold between the address records of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

from datastore.fields import Address
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import InSync, Store
from ipam import block as blocks
from ipam.allocator import AddressesWanted, Allocator
from ipam.host_context import CONTEXT_KINDS
from ipam.names import affine_host
from tests.datastore.memory_store import MemoryStore

POD = AddressesWanted("n1", "net.pod")


def pool(name: str, cidr: str, **spec: Any) -> IPPool:
    return IPPool.make(name, cidr=cidr, **spec)


def node(name: str, **labels: str) -> Node:
    return Node.make(name, labels=labels)


def config(**spec: Any) -> IPAMConfig:
    return IPAMConfig.make("default", **{"strict_affinity": False, "auto_allocate_blocks": True, **spec})


def pod(number: int | str, host: str = "n1") -> AddressesWanted:
    """Return what a pod needs: one IPv4 address."""
    return AddressesWanted(host, f"net.pod-{number}", {"pod": f"pod-{number}", "node": host})


async def report(store: MemoryStore, allocator: Allocator) -> None:
    """Tell the allocator what the store holds by now, as a watch does; nobody tells it what comes later."""
    async for event in store.watch(*CONTEXT_KINDS):
        allocator.on_event(event)
        if isinstance(event, InSync):
            break
    store.calls.clear()


async def owners(store: Store) -> dict[Address, str | None]:
    """Return who has which address, as the blocks say."""
    return {
        allocation.address: allocation.handle
        for block in (await store.list(IPAMBlock)).objects
        for allocation in blocks.allocations(block)
        if not allocation.released
    }


async def violations(store: Store, in_use: Mapping[Any, str], *, quiet: bool = True) -> list[str]:
    """Return what is wrong: `in_use` says which handle each address was handed to and not taken back from.

    Quiet: nothing is under way and nothing was broken off, so that handles count exactly and every claim is whole.
    Otherwise an address that nobody was told of may have no handle where that is a write of its own.
    """
    found = (await store.list(IPAMBlock)).objects
    handles = {handle.spec.handle_id: handle for handle in (await store.list(IPAMHandle)).objects}
    affinities = (await store.list(BlockAffinity)).objects
    return [
        *_torn_blocks(found),
        *_lost_addresses(found, in_use),
        *_unknown_owners(found, handles, None if quiet or store.atomic else in_use),
        *_wrong_claims(found, affinities),
        *(_miscounted(found, handles.values()) if quiet else ()),
    ]


def _torn_blocks(found: Iterable[IPAMBlock]) -> list[str]:
    wrong = [f"block {block.network}: {fault}" for block in found for fault in blocks.faults(block)]
    seen: Counter[Address] = Counter(allocation.address for block in found for allocation in blocks.allocations(block))
    return wrong + [f"{address} has {count} owners" for address, count in seen.items() if count > 1]


def _lost_addresses(found: Iterable[IPAMBlock], in_use: Mapping[Address, str]) -> list[str]:
    holders = {allocation.address: allocation.handle for block in found for allocation in blocks.allocations(block)}
    return [
        f"{address} was handed to {handle}, and the block says {holders.get(address)}"
        for address, handle in in_use.items()
        if holders.get(address) != handle
    ]


def _unknown_owners(
    found: Iterable[IPAMBlock], handles: Mapping[str, IPAMHandle], told: Container[Address] | None
) -> list[str]:
    return [
        f"{allocation.address} belongs to handle {allocation.handle}, which does not count block {block.network}"
        for block in found
        for allocation in blocks.allocations(block)
        if allocation.handle is not None
        and not allocation.released
        and (told is None or allocation.address in told)
        and (allocation.handle not in handles or block.spec.cidr not in handles[allocation.handle].spec.block)
    ]


def _wrong_claims(found: Iterable[IPAMBlock], affinities: Iterable[BlockAffinity]) -> list[str]:
    named = {block.network: affine_host(block.spec.affinity) for block in found}
    confirmed = [affinity for affinity in affinities if affinity.confirmed]
    twice = Counter(affinity.network for affinity in confirmed)
    return [f"block {cidr} has {count} confirmed affinities" for cidr, count in twice.items() if count > 1] + [
        f"block {affinity.network} is confirmed for {affinity.spec.node}, and names {named[affinity.network]}"
        for affinity in confirmed
        if affinity.network in named and named[affinity.network] != affinity.spec.node
    ]


def _miscounted(found: Iterable[IPAMBlock], handles: Iterable[IPAMHandle]) -> list[str]:
    held: Counter[tuple[str | None, str]] = Counter(
        (allocation.handle, block.spec.cidr)
        for block in found
        for allocation in blocks.allocations(block)
        if not allocation.released
    )
    counts: dict[tuple[str | None, str], int] = {
        (handle.spec.handle_id, cidr): count for handle in handles for cidr, count in handle.spec.block.items()
    }
    return [
        f"handle {key[0]} counts {counts.get(key, 0)} in block {key[1]}, which holds {held.get(key, 0)}"
        for key in {*held, *counts}
        if held.get(key, 0) != counts.get(key, 0)
    ]
