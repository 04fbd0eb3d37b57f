"""Read all that an export has, and write what an import lacks.

An edge: `felixctl.datastore.import_plan` decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from datastore.cas import found_or_none
from datastore.errors import AlreadyExists, Conflict, DatastoreError, NotFound
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from datastore.resources import KINDS as MODELS
from datastore.store import Create, Store, Update
from datastore.watch import Key, key_of
from felixctl.datastore.import_plan import ImportPlan, Target, completed, not_kept, planned
from felixctl.datastore.ipam_section import CONFIGURATION, IpamState
from felixctl.datastore.migration_file import KINDS, Migration, written
from felixctl.errors import CommandError, RejectedError

ATTEMPTS = 5
"""How often a reading that others' writes came between, or a plan that they overtook, is made again."""
AT_ONCE = 16
"""How many writes are under way together where a store writes one by one."""


class Imported(NamedTuple):
    """What an import wrote, and a sentence for each thing that is not as the file has it."""

    written: list[Resource]
    told: list[str]


async def export_text(store: Store) -> str:
    """Return the text of an export. Raises CommandError: the datastore is not locked, or is not complete."""
    cluster = await found_or_none(store.get(ClusterInformation, "default"))
    if cluster is None:
        raise CommandError('export the datastore: it has no ClusterInformation "default", so it is no cluster\'s')
    if cluster.is_incomplete:
        raise CommandError("export the datastore: an import into it is not complete; import the same file again first")
    if cluster.spec.datastore_ready:
        raise CommandError(
            "export the datastore: it is not locked, so addresses would be assigned meanwhile that the export does not"
            " have: felixctl datastore migrate lock"
        )
    for _ in range(ATTEMPTS):
        ipam = await _ipam(store)
        resources = {kind: (await store.list(MODELS[kind])).complete() for kind in KINDS}
        if await _ipam(store) == ipam:
            return written(resources, cluster, ipam)
    raise CommandError(
        f"export the datastore: addresses were released during each of {ATTEMPTS} readings, by pods that end; try again"
    )


async def _ipam(store: Store) -> IpamState:
    return IpamState(
        blocks=(await store.list(IPAMBlock)).complete(),
        affinities=(await store.list(BlockAffinity)).complete(),
        handles=(await store.list(IPAMHandle)).complete(),
        config=await found_or_none(store.get(IPAMConfig, CONFIGURATION)),
        endpoints=(await store.list(WorkloadEndpoint)).complete(),
    )


async def import_plan(store: Store, migration: Migration, *, on_kubernetes: bool) -> ImportPlan:
    """Return what an import has to write as things are. Raises RejectedError."""
    return planned(migration, await _target(store, on_kubernetes))


async def import_into(store: Store, migration: Migration, *, on_kubernetes: bool) -> Imported:
    """Write what the file has and the datastore lacks. Raises RejectedError: it may not, CommandError: it failed."""
    found: list[Resource] = []
    told: dict[str, None] = {}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            plan = await import_plan(store, migration, on_kubernetes=on_kubernetes)
        except RejectedError as error:
            if not found:
                raise
            raise CommandError((*error.sentences, f"{len(found)} resources were written before")) from None
        told |= dict.fromkeys(plan.told)
        try:
            await (_at_once if store.atomic else _one_by_one)(store, plan, found, told)
        except (AlreadyExists, Conflict):  # another writer was quicker: what is there now is for the plan to judge
            if attempt == ATTEMPTS:
                raise
        else:
            break
    return Imported(found, list(told))


async def _at_once(store: Store, plan: ImportPlan, found: list[Resource], _: dict[str, None]) -> None:
    begin = (Create(completed(plan.begin)),) if plan.begin else ()
    stored = await store.write(*begin, *plan.writes)
    found += [one for one in stored if one is not None]


async def _one_by_one(store: Store, plan: ImportPlan, found: list[Resource], told: dict[str, None]) -> None:
    """Write all of a plan: the mark first, then several at a time, then the mark is removed."""
    before = len(found)
    total = len(plan.writes) + bool(plan.begin)
    try:
        if plan.begin:
            found.append(await _begun(store, plan.begin))
        await _several_at_a_time(store, plan.writes, found, told)
        if plan.ends:
            cluster = await store.get(ClusterInformation, "default")
            await store.update(completed(cluster))
    except (AlreadyExists, Conflict):
        raise
    except DatastoreError as error:
        done = len(found) - before
        if not done:
            raise
        raise CommandError(
            f"{error}; {done} of {total} were written before, and the datastore stays locked: import the same file"
            " again, and the rest is written"
        ) from error


async def _begun(store: Store, cluster: ClusterInformation) -> ClusterInformation:
    try:
        return await store.create(cluster)
    except NotFound as error:
        raise CommandError(
            f"{error}; the API server has no definitions of Calico's resources: kubectl apply -k manifests/crds,"
            " and import again; nothing was written"
        ) from None


async def _several_at_a_time(
    store: Store, writes: Sequence[Create | Update], found: list[Resource], told: dict[str, None]
) -> None:
    left = iter(writes)

    async def work() -> None:
        for write in left:
            [stored] = await store.write(write)
            assert stored is not None
            found.append(stored)
            told.update(dict.fromkeys(not_kept(stored, write.resource)))

    workers = [asyncio.create_task(work()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _target(store: Store, on_kubernetes: bool) -> Target:
    present: dict[Key, Resource] = {}
    kinds: Iterator[type[Resource]] = chain((MODELS[kind] for kind in KINDS), _ELSEWHERE)
    for kind in kinds:
        listed = await store.list(kind)
        others = on_kubernetes and kind in (Node, WorkloadEndpoint)  # Kubernetes' own: what is unread is none of ours
        present.update((key_of(one), one) for one in (listed.objects if others else listed.complete()))
    if not on_kubernetes:
        return Target(present)
    return Target(present, frozenset(one.name for one in (await store.list(Namespace)).objects))


_ELSEWHERE = (ClusterInformation, IPAMBlock, BlockAffinity, IPAMHandle, IPAMConfig, WorkloadEndpoint)
"""What the second and the third section have."""
