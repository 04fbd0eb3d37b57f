"""Carry out changes on the datastore: read what matters, plan the writes, write; plan again after a conflict.

An edge: `felixctl.resources.plan` decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from datastore.cas import found_or_none
from datastore.errors import Conflict, DatastoreError
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Delete, Store, Write
from felixctl.errors import CommandError
from felixctl.resources import plan, view
from felixctl.resources.plan import ClusterState, Manifest, ObjectKey
from felixctl.resources.view import Json
from ipam.errors import IpamError

ATTEMPTS = 5
"""How often a change is tried. After so many conflicts the manifest itself carries an old revision."""
POOL_REST_SECONDS = 0.5
"""How long after a pool was disabled its blocks are released: requests that chose it before may be under way."""

Decision = Callable[[Sequence[Manifest], ClusterState], list[Write]]


async def preview(store: Store, items: Sequence[Manifest], decide: Decision) -> list[Write]:
    """Return what is to be written about these items as things are."""
    return decide(items, await _cluster_state(store, [one.key for one in items]))


async def carry_out(store: Store, items: Sequence[Manifest], decide: Decision) -> list[Resource]:
    """Write what is decided about these items; return what was created or changed."""

    async def once() -> list[Resource]:
        return await _write(store, await preview(store, items, decide))

    return await _retried(once)


async def change(store: Store, key: ObjectKey, edit: Callable[[Json], Json]) -> list[Resource]:
    """Change one resource as people see it; return it, or nothing where the edit changed nothing."""

    async def once() -> list[Resource]:
        state = await _cluster_state(store, [key])
        if key not in state.existing:
            raise CommandError(f"{key} does not exist in the datastore")
        changed = edit(view.of(state.existing[key]))
        return await _write(store, plan.edited(key, changed, state))

    return await _retried(once)


class Removed(NamedTuple):
    """What was removed, and a sentence for each block of it that stays."""

    keys: list[ObjectKey]
    left: list[str]


async def remove(store: Store, keys: Sequence[ObjectKey], *, skip_missing: bool, force: bool) -> Removed:
    """Remove objects and return which.

    A pool's blocks are released before it is removed, so that no node goes on announcing them; a node's empty blocks
    afterwards, when its agent, should it still run, can no longer claim them.
    """
    found = await _existing(store, keys)
    steps = plan.deleted(keys, found, skip_missing=skip_missing)
    pools = [step.resource for step in steps if isinstance(step.resource, IPPool)]
    if pools and not force:
        plan.reject_pools_in_use(pools, (await store.list(IPAMBlock)).complete())
    for pool in pools:
        await _release_blocks_of_pool(store, pool)

    async def once() -> list[Resource]:
        return await _write(store, plan.deleted(keys, await _existing(store, keys), skip_missing=True))

    await _retried(once)
    nodes = [step.resource.name for step in steps if isinstance(step.resource, Node)]
    return Removed(list(found), [sentence for node in nodes for sentence in await _release_blocks_of_node(store, node)])


async def _release_blocks_of_node(store: Store, node: str) -> list[str]:
    """Release the empty blocks of a node that was removed; return a sentence for each that is not empty."""
    from ipam.affinities import Affinities

    affinities = Affinities(store, time.time_ns)
    left = []
    for affinity in await affinities.of_host(node):
        try:
            await affinities.release(node, affinity.network, must_be_empty=True)
        except IpamError as refusal:
            left.append(f"{refusal}; the agents of other nodes release it when its pods are deleted")
    return left


async def _release_blocks_of_pool(store: Store, pool: IPPool) -> None:
    from ipam.allocator import Allocator  # imported late: no other command needs it

    if not pool.spec.disabled:
        await store.update(pool.with_spec(disabled=True))
        await asyncio.sleep(POOL_REST_SECONDS)
    try:
        await Allocator(store).release_pool(pool.network)
    except (DatastoreError, IpamError) as error:
        raise CommandError(f'{error}; IPPool "{pool.name}" is left disabled, delete it again') from error


async def _write(store: Store, steps: Sequence[Write]) -> list[Resource]:
    """Write all at once or, where the store can't, one by one; return what was created or changed.

    Raises CommandError: the store failed between two writes; the sentence says how many were done.
    """
    written = [step.resource for step in steps if not isinstance(step, Delete)]
    if store.atomic:
        await store.write(*steps)
        return written
    for number, step in enumerate(steps):
        try:
            await store.write(step)
        except DatastoreError as error:
            if number and not isinstance(error, Conflict):
                verb = "deleted" if isinstance(step, Delete) else "written"
                raise CommandError(f"{error}; {number} of {len(steps)} were {verb} before") from error
            raise
    return written


async def _retried(work: Callable[[], Awaitable[list[Resource]]]) -> list[Resource]:
    """Do the work; after a conflict with another writer again, from what is there then."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await work()
        except Conflict:
            continue
    return await work()


async def _existing(store: Store, keys: Iterable[ObjectKey]) -> dict[ObjectKey, Resource]:
    found = {key: await found_or_none(store.get(key.model, key.name, key.namespace)) for key in keys}
    return {key: resource for key, resource in found.items() if resource is not None}


async def _cluster_state(store: Store, keys: Sequence[ObjectKey]) -> ClusterState:
    kinds_meant = {key.noun.kind for key in keys}
    addressing = not kinds_meant.isdisjoint({"IPPool", "Node", "BGPConfiguration"})
    return ClusterState(
        await _existing(store, keys),
        pools=(await store.list(IPPool)).objects if addressing else (),
        blocks=(await store.list(IPAMBlock)).objects if "IPPool" in kinds_meant else (),
        nodes=(await store.list(Node)).objects if addressing else (),
        bgp=(await store.list(BGPConfiguration)).objects if addressing else (),
    )
