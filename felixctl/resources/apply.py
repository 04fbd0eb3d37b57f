"""Carry out changes on the datastore: read what matters, plan the writes, write; plan again after a conflict.

An edge: `felixctl.resources.plan` decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from datastore.cas import found_or_none
from datastore.errors import BadRecord, Conflict, DatastoreError, Forbidden, NotFound
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Delete, Store, Write
from felixctl.errors import CommandError
from felixctl.late_progress import Tell, counted, untold
from felixctl.resources import plan, view
from felixctl.resources.manifests import FileContents, ObjectKey
from felixctl.resources.plan import ClusterState, Decision
from felixctl.resources.unread import cure, delete_unread, unread_among
from felixctl.resources.view import Json
from ipam.block import is_empty
from ipam.errors import IpamError

T = TypeVar("T")

ATTEMPTS = 5
"""How often a change is tried: so many times in a row another writer was faster."""
POOL_REST_SECONDS = 0.5
"""How long after a pool was disabled its blocks are released: requests that chose it before may be under way."""

SignOfLife = Callable[[Store, Node], Awaitable[str | None]]


class Preview(NamedTuple):
    """What is to be written, and a sentence for each document that says what no file decides, or what means nothing."""

    steps: list[Write]
    not_taken: list[str]


class Done(NamedTuple):
    """What was created or changed, and the same sentences."""

    written: list[Resource]
    not_taken: list[str]


async def preview(
    store: Store, batch: FileContents, decide: Decision, *, on_kubernetes: bool = False, tell: Tell = untold
) -> Preview:
    """Return what is to be written for the files' contents as things are."""
    keys = [one.key for one in batch.manifests]
    state = await _cluster_state(store, keys, tell)
    tell(f"{len(keys):,} resources are checked")
    if on_kubernetes:
        state = replace(state, namespaces=await _namespaces(store, keys))
    steps = plan.decided(batch, state, decide)
    return Preview(steps, [*plan.not_taken(batch.manifests, state, steps), *plan.of_no_node(state, steps)])


async def carry_out(
    store: Store, batch: FileContents, decide: Decision, *, on_kubernetes: bool = False, tell: Tell = untold
) -> Done:
    """Write what is decided about the files' contents."""

    async def once() -> Done:
        steps, not_taken = await preview(store, batch, decide, on_kubernetes=on_kubernetes, tell=tell)
        return Done(await _write(store, steps, tell), not_taken)

    return await _retried(once)


async def change(store: Store, key: ObjectKey, edit: Callable[[Json], Json]) -> Done:
    """Change one resource as people see it; nothing is written where the edit changed nothing."""

    async def once() -> Done:
        state = await _cluster_state(store, [key])
        if key not in state.existing:
            raise CommandError(f"{key} does not exist in the datastore")
        changed = edit(view.of(state.existing[key]))
        steps = plan.edited(key, changed, state)
        return Done(await _write(store, steps), plan.of_no_node(state, steps))

    return await _retried(once)


class Removal(NamedTuple):
    """What is to be removed: which objects were found, the writes, and the objects whose records cannot be read."""

    found: list[ObjectKey]
    steps: list[Write]
    unread: list[ObjectKey]


class Removed(NamedTuple):
    """What was removed, what was done about what it held, and what of that stays, a sentence each."""

    keys: list[ObjectKey]
    done: list[str]
    left: list[str]


async def removal(
    store: Store,
    keys: Sequence[ObjectKey],
    *,
    skip_missing: bool,
    force: bool,
    sign_of_life: SignOfLife | None = None,
    tell: Tell = untold,
) -> Removal:
    """Return what is to be removed as things are. Raises RejectedError, CommandError: it may not be."""
    unread = await unread_among(store, keys)
    found = await _existing(store, [key for key in keys if key not in unread], tell)
    steps = plan.deleted([key for key in keys if key not in unread], found, skip_missing=skip_missing)
    if sign_of_life and not force:
        nodes = [step.resource for step in steps if isinstance(step.resource, Node)]
        await _reject_living(store, nodes, sign_of_life)
    pools = [step.resource for step in steps if isinstance(step.resource, IPPool)]
    if pools and not force:
        plan.reject_pools_in_use(pools, (await store.list(IPAMBlock)).complete())
    return Removal(list(found), steps, unread)


async def remove(
    store: Store,
    keys: Sequence[ObjectKey],
    *,
    skip_missing: bool,
    force: bool,
    release: bool = False,
    sign_of_life: SignOfLife | None = None,
    tell: Tell = untold,
) -> Removed:
    """Remove objects and return which.

    A pool's blocks are released before it is removed, so that no node goes on announcing them; a node's empty blocks
    afterwards, when its agent, should it still run, can no longer claim them. release: of nodes, whatever they hold is
    given back. sign_of_life: what shows that a node is alive; such a one is removed by force only. A record that cannot
    be read is removed without any of this: nothing says what it was.
    """
    found, steps, unread = await removal(
        store, keys, skip_missing=skip_missing, force=force, sign_of_life=sign_of_life, tell=tell
    )
    keys = [key for key in keys if key not in unread]
    nodes = [step.resource for step in steps if isinstance(step.resource, Node)]
    for pool in (step.resource for step in steps):
        if isinstance(pool, IPPool):
            await _release_blocks_of_pool(store, pool)

    async def once() -> list[Resource]:
        steps = plan.deleted(keys, await _existing(store, keys, tell), skip_missing=True)
        return await _write(store, steps, tell)

    await _retried(once)
    await delete_unread(store, unread)
    done, left = [], []
    names = [key.name for key in keys if key.model is Node] if release else [node.name for node in nodes]
    for name in names:
        more_done, more_left = await _give_back(store, name, everything=release)
        done += more_done
        left += more_left
    return Removed([*found, *unread], done, left)


async def _reject_living(store: Store, nodes: Sequence[Node], sign_of_life: SignOfLife) -> None:
    sentences = [
        f'delete Node "{node.name}": it is alive, {sign}; without its Node it loses its BGP sessions and its pods their'
        " routes until its agent writes it anew; stop its agent first, or give --force"
        for node in nodes
        if (sign := await sign_of_life(store, node))
    ]
    if sentences:
        raise CommandError((*sentences, "nothing was deleted"))


async def _give_back(store: Store, node: str, *, everything: bool) -> tuple[list[str], list[str]]:
    """Release the empty blocks of a node that was removed, or everything it holds; return what was done and what stays.

    Where an endpoint can't be read nothing but empty blocks is touched: it may be of a pod that uses an address.
    """
    from felixctl.ipam.lost_endpoints import Holdings
    from felixctl.ipam.read_records import read_records
    from felixctl.ipam.repair_apply import carry_out as repair
    from felixctl.ipam.repair_plan import ReleaseBlock, of_node

    records = await read_records(store)
    steps = of_node(node, records)
    unread = records.unread_of(WorkloadEndpoint.KIND)
    if not everything or unread:
        empty = {block.network for block in records.blocks if is_empty(block)}
        steps = [step for step in steps if isinstance(step.action, ReleaseBlock) and step.action.cidr in empty]
    done = await repair(store, steps)
    left = str(Holdings(node, await read_records(store)))
    said = [one.sentence for one in done if everything or one.refusal]
    if everything and unread:
        said += (*unread, "so it is not known what is in use, and only empty blocks are released")
    advice = "felixctl ipam check says what keeps them, and --fix frees them if the node is gone for good"
    return said, [f"node {node} holds {left}; {advice}"] if left else []


async def _release_blocks_of_pool(store: Store, pool: IPPool) -> None:
    from ipam.allocator import Allocator  # imported late: no other command needs it

    if not pool.spec.disabled:
        await store.update(pool.with_spec(disabled=True))
        await asyncio.sleep(POOL_REST_SECONDS)
    try:
        await Allocator(store).release_pool(pool.network)
    except (DatastoreError, IpamError) as error:
        raise CommandError(f'{error}; IPPool "{pool.name}" is left disabled, delete it again') from error


async def _write(store: Store, steps: Sequence[Write], tell: Tell = untold) -> list[Resource]:
    """Write all at once or, where the store can't, one by one; return what was created or changed.

    Raises CommandError: the store failed between two writes; the sentence says how many were done.
    """
    written = [step.resource for step in steps if not isinstance(step, Delete)]
    done = "deleted" if steps and isinstance(steps[0], Delete) else "written"
    if store.atomic:
        tell(f"{len(steps):,} resources are {done}, all at once")
        await store.write(*steps)
        return written
    for number, step in enumerate(counted(steps, tell, f"resources {done}", len(steps))):
        try:
            await store.write(step)
        except DatastoreError as error:
            if number and not isinstance(error, Conflict):
                raise CommandError(f"{error}; {number} of {len(steps)} were {done} before") from error
            raise
    return written


async def _retried(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work; after a conflict with another writer again, from what is there then."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await work()
        except Conflict:
            continue
    return await work()


async def _existing(store: Store, keys: Sequence[ObjectKey], tell: Tell = untold) -> dict[ObjectKey, Resource]:
    found: dict[ObjectKey, Resource] = {}
    for key in counted(keys, tell, "resources looked up in the datastore", len(keys)):
        try:
            present = await found_or_none(store.get(key.model, key.name, key.namespace))
        except BadRecord as unread:
            raise cure(key, unread) from None
        if present is not None:
            found[key] = present
    return found


async def _cluster_state(store: Store, keys: Sequence[ObjectKey], tell: Tell = untold) -> ClusterState:
    kinds_meant = {key.noun.kind for key in keys}
    addressing = not kinds_meant.isdisjoint({"IPPool", "Node", "BGPConfiguration"})
    return ClusterState(
        await _existing(store, keys, tell),
        pools=(await store.list(IPPool)).objects if addressing else (),
        blocks=(await store.list(IPAMBlock)).objects if "IPPool" in kinds_meant else (),
        nodes=(await store.list(Node)).objects if addressing or "BGPPeer" in kinds_meant else (),
        bgp=(await store.list(BGPConfiguration)).objects if addressing else (),
    )


async def _namespaces(store: Store, keys: Iterable[ObjectKey]) -> frozenset[str]:
    """Return the Namespaces that are there of those that are meant; one that cannot be read is taken to be."""
    found = set()
    for name in {key.namespace for key in keys if key.namespace is not None}:
        with suppress(NotFound):
            with suppress(Forbidden, BadRecord):
                await store.get(Namespace, name)
            found.add(name)
    return frozenset(found)
