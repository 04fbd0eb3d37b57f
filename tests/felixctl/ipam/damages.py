"""Damages to IPAM's records, each with the problem that `ipam check` finds and whether a repair is safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Delete, Store, Update
from tests.felixctl.ipam.cluster import DB, DB_HANDLE

NODE_3 = "10-65-77-0-26"  # its block holds 10.65.77.7 of pod db-1 alone
Damage = Callable[[Store], Awaitable[object]]


async def change_block(store: Store, **spec: object) -> None:
    block = await store.get(IPAMBlock, NODE_3)
    await store.update(block.with_spec(**spec))


async def delete_endpoint(store: Store) -> None:
    await store.delete(await store.get(WorkloadEndpoint, DB, "default"))


async def delete_node(store: Store) -> None:
    await store.delete(await store.get(Node, "node-3"))
    await delete_endpoint(store)


async def forget_node(store: Store) -> None:
    await store.delete(await store.get(Node, "node-3"))


async def attach_again(store: Store) -> None:
    endpoint = await store.get(WorkloadEndpoint, DB, "default")
    await store.update(endpoint.with_spec(ip_networks=("10.65.84.140/32",)))


async def disable_pool(store: Store) -> None:
    [pool] = (await store.list(IPPool)).objects
    await store.write(Update(pool.with_spec(disabled=True)), Delete(await store.get(IPAMBlock, NODE_3)))


async def lose_allocation(store: Store) -> None:
    """As an older copy of the block would have it."""
    await change_block(store, allocations=(None,) * 64, unallocated=tuple(range(64)), attributes=())


async def lose_handle(store: Store) -> None:
    await store.delete(await store.get(IPAMHandle, DB_HANDLE))


async def idle_handle(store: Store) -> None:
    await store.create(IPAMHandle.make("gone", handle_id="gone", block={"10.65.77.0/26": 1}, deleted=False))


async def miscount(store: Store) -> None:
    handle = await store.get(IPAMHandle, DB_HANDLE)
    await store.update(handle.with_spec(block={"10.65.77.0/26": 3, "10.65.84.128/26": 1}))


async def free_and_taken(store: Store) -> None:
    await change_block(store, unallocated=tuple(range(64)))


async def lose_from_queue(store: Store) -> None:
    await change_block(store, unallocated=tuple(range(10, 64)))


async def unknown_owner(store: Store) -> None:
    block = await store.get(IPAMBlock, NODE_3)
    slots = list(block.spec.allocations)
    slots[20] = 9
    await change_block(store, allocations=tuple(slots), unallocated=tuple(o for o in range(64) if o not in (7, 20)))


async def owner_lost_in_use(store: Store) -> None:
    await change_block(store, attributes=())


async def lose_affinity(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    await store.delete(affinity)


async def lose_block(store: Store) -> None:
    await delete_endpoint(store)
    await lose_handle(store)
    await store.delete(await store.get(IPAMBlock, NODE_3))


async def half_claim(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    await store.update(affinity.with_spec(state="pending"))


async def two_claims(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    twin = affinity.with_spec(node="node-1").with_metadata(name="node-1-10-65-77-0-26", resource_version=None, uid=None)
    await store.create(twin)


async def lose_labels(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    await store.update(affinity.with_metadata(labels=None))


async def twin_endpoint(store: Store) -> None:
    endpoint = await store.get(WorkloadEndpoint, DB, "default")
    twin = endpoint.with_metadata(name="node--3-k8s-db--2-eth0", resource_version=None, uid=None)
    await store.create(twin.with_spec(pod="db-2"))


async def overlapping_block(store: Store) -> None:
    await store.create(
        IPAMBlock.make(
            "10-65-77-32-28",
            cidr="10.65.77.32/28",
            strict_affinity=False,
            deleted=False,
            allocations=(None,) * 16,
            unallocated=tuple(range(16)),
            attributes=(),
        )
    )


DAMAGES: list[tuple[Damage, str, str, bool]] = [
    (delete_endpoint, "unused", "pod default/db-1 was deleted and its release was lost", True),
    (forget_node, "endpoints", f"Workload(default/{DB}) keeps 10.65.77.7 of {DB_HANDLE}: its node node-3 was", True),
    (delete_node, "unused", "node node-3 was removed before its agent released it", True),
    (attach_again, "unused", "pod default/db-1 was attached again and has 10.65.84.140 now", True),
    (disable_pool, "outside", "pool default-ipv4-ippool was disabled", False),
    (lose_allocation, "unassigned", "it was released while in use", True),
    (lose_handle, "lost_handles", "is missing: an assignment is under way or was interrupted", True),
    (idle_handle, "idle_handles", "handle gone owns no address: an assignment or a release was interrupted", True),
    (miscount, "miscounts", "counts 3 in 10.65.77.0/26, 1 in 10.65.84.128/26, and the blocks hold 1 in", True),
    (free_and_taken, "broken_blocks", "assigned and free at once: [7]", True),
    (lose_from_queue, "broken_blocks", "neither assigned nor free", True),
    (unknown_owner, "broken_blocks", "allocations name attributes that do not exist: [9]", True),
    (owner_lost_in_use, "broken_blocks", "allocations name attributes that do not exist: [0]", False),
    (
        overlapping_block,
        "broken_blocks",
        "block 10.65.77.32/28 (10-65-77-32-28): it lies in block 10.65.77.0/26 (10-65-77-0-26)",
        False,
    ),
    (lose_affinity, "affinities", "it names node node-3, which has no affinity for it", True),
    (lose_block, "affinities", "there is no such block", True),
    (half_claim, "affinities", "it is pending: a claim or a release was interrupted", True),
    (two_claims, "affinities", "the block belongs to node node-3: two nodes claimed it at once", True),
    (lose_labels, "affinities", "it lacks the labels that it is listed by", True),
    (twin_endpoint, "shared", "10.65.77.7 belongs to two endpoints", False),
    (twin_endpoint, "mistaken", "10.65.77.7 is used by", False),
]
