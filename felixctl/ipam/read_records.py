"""The records that `ipam check`, `release` and `split` decide from, read from the datastore."""

from __future__ import annotations

from datastore.cas import found_or_none
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Store
from datastore.summaries import BLOCKS, ENDPOINTS, HANDLES
from felixctl.ipam.records import IpamRecords


async def read_records(store: Store) -> IpamRecords:
    """Return everything the check compares. Endpoints are read last, so a pod that arrives meanwhile is among them."""
    blocks = await store.summarize(BLOCKS)
    affinities = await store.list(BlockAffinity)
    pools = await store.list(IPPool)
    handles = await store.summarize(HANDLES)
    nodes = await store.list(Node)
    endpoints = await store.summarize(ENDPOINTS)
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
