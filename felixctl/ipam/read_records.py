"""The records that `ipam check`, `release` and `split` decide from, read from the datastore."""

from __future__ import annotations

import asyncio

from datastore.cas import found_or_none
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Store
from datastore.summaries import BLOCKS, ENDPOINTS, HANDLES
from felixctl.ipam.records import IpamRecords


async def read_records(store: Store, *, at_once: bool = False) -> IpamRecords:
    """Return everything the check compares.

    First the blocks, then their affinities: what these name is written before them, so it is among what is read after.
    The rest is read at once: while an API server makes the list of pods it can make that of handles, too.

    at_once: so is all, which is sooner. What is written meanwhile may then seem amiss: who finds something reads again.
    """
    blocks_read = asyncio.create_task(store.summarize(BLOCKS))
    if not at_once:
        await blocks_read
    affinities_read = asyncio.create_task(store.list(BlockAffinity))
    if not at_once:
        await affinities_read
    readings = (
        asyncio.create_task(store.summarize(ENDPOINTS)),
        asyncio.create_task(store.summarize(HANDLES)),
        blocks_read,
        affinities_read,
        asyncio.create_task(store.list(Node)),
        asyncio.create_task(store.list(IPPool)),
    )
    try:
        endpoints, handles, blocks, affinities, nodes, pools = await asyncio.gather(*readings)
    finally:
        for reading in readings:  # where one has failed, nothing of the others is wanted
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)
    return IpamRecords(
        blocks=blocks.objects,
        affinities=affinities.objects,
        pools=pools.objects,
        handles=handles.objects,
        nodes=nodes.objects,
        endpoints=endpoints.objects,
        unread=[
            *blocks.unreadable,
            *affinities.unreadable,
            *pools.unreadable,
            *handles.unreadable,
            *nodes.unreadable,
            *endpoints.unreadable,
        ],
    )


async def cluster_information(store: Store) -> ClusterInformation | None:
    return await found_or_none(store.get(ClusterInformation, "default"))
