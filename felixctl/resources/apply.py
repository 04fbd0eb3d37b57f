"""Changes carried out on the datastore: read what matters, ask what to write, write it, again if somebody was quicker.

An edge: `felixctl.resources.plan` decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from datastore.cas import ATTEMPTS, found_or_none
from datastore.errors import Conflict, DatastoreError
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

POOL_REST_SECONDS = 0.5
"""How long a disabled pool waits for requests that chose it before, as Calico does."""

Decision = Callable[[Sequence[Manifest], ClusterState], list[Write]]


async def preview(store: Store, items: Sequence[Manifest], decide: Decision) -> list[Write]:
    """Return what is to be written about these items as things are."""
    return decide(items, await _cluster_state(store, [one.key for one in items]))


async def carry_out(store: Store, items: Sequence[Manifest], decide: Decision) -> None:
    """Write what is decided about these items."""

    async def once() -> None:
        await _write(store, await preview(store, items, decide))

    await _retried(once)


async def change(store: Store, key: ObjectKey, edit: Callable[[Json], Json]) -> None:
    """Change what people see of one resource."""

    async def once() -> None:
        state = await _cluster_state(store, [key])
        if key not in state.existing:
            raise CommandError(f"{key} does not exist in the datastore")
        changed = edit(view.shown(state.existing[key].to_json()))
        await _write(store, plan.edited(key, changed, state))

    await _retried(once)


class Removed(NamedTuple):
    """What was removed, and a sentence for each thing of it that stays."""

    keys: list[ObjectKey]
    left: list[str]


async def remove(store: Store, keys: Sequence[ObjectKey], *, skip_missing: bool, force: bool) -> Removed:
    """Remove objects and return which.

    A pool's blocks are given up first, so that no node goes on announcing them; a node's empty ones afterwards, when
    its agent, should it still run, has nothing to claim them by.
    """
    found = await _existing(store, keys)
    steps = plan.deleted(keys, found, skip_missing=skip_missing)
    pools = [step.resource for step in steps if isinstance(step.resource, IPPool)]
    if pools and not force:
        plan.reject_pools_in_use(pools, (await store.list(IPAMBlock)).objects)
    for pool in pools:
        await _give_up_blocks(store, pool)

    async def once() -> None:
        await _write(store, plan.deleted(keys, await _existing(store, keys), skip_missing=True))

    await _retried(once)
    nodes = [step.resource.name for step in steps if isinstance(step.resource, Node)]
    return Removed(list(found), [sentence for node in nodes for sentence in await _give_up_blocks_of(store, node)])


async def _give_up_blocks_of(store: Store, node: str) -> list[str]:
    """Give up the empty blocks of a node that is gone, and return a sentence for each that is not."""
    from ipam.affinities import Affinities

    claims = Affinities(store, time.time_ns)
    left = []
    for affinity in await claims.of_host(node):
        try:
            await claims.release(node, affinity.network, must_be_empty=True)
        except IpamError as refusal:
            left.append(f"{refusal}; the agents of other nodes free it when its pods are gone")
    return left


async def _give_up_blocks(store: Store, pool: IPPool) -> None:
    from ipam.allocator import Allocator  # nothing else here needs it, and it costs every command its import

    if not pool.spec.disabled:
        await store.update(pool.with_spec(disabled=True))
        await asyncio.sleep(POOL_REST_SECONDS)
    try:
        await Allocator(store).release_pool(pool.network)
    except (DatastoreError, IpamError) as error:
        raise CommandError(f'{error}; IPPool "{pool.name}" is left disabled, delete it again') from error


async def _write(store: Store, steps: Sequence[Write]) -> None:
    """Write all or, where the store can't, one after the other, and tell how far it went."""
    if store.atomic:
        await store.write(*steps)
        return
    for number, step in enumerate(steps):
        try:
            await store.write(step)
        except DatastoreError as error:
            if number and not isinstance(error, Conflict):
                verb = "deleted" if isinstance(step, Delete) else "written"
                raise CommandError(f"{error}; {number} of {len(steps)} were {verb} before") from error
            raise


async def _retried(work: Callable[[], Awaitable[None]]) -> None:
    """Decide again, from what is there then, where somebody else wrote in between."""
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
    pools = "IPPool" in kinds_meant
    return ClusterState(
        await _existing(store, keys),
        pools=(await store.list(IPPool)).objects if pools else (),
        blocks=(await store.list(IPAMBlock)).objects if pools else (),
        nodes=(await store.list(Node)).objects if "Node" in kinds_meant else (),
    )
