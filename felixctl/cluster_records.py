"""The datastore's records of who is where, which every explanation begins with."""

from __future__ import annotations

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Store
from explain.records import ClusterRecords, cluster_records


async def read_cluster(store: Store) -> ClusterRecords:
    """Return the records of who is where."""
    return cluster_records(
        (await store.list(WorkloadEndpoint)).objects,
        (await store.list(IPAMBlock)).objects,
        (await store.list(BlockAffinity)).objects,
        (await store.list(IPPool)).objects,
        (await store.list(Node)).objects,
        (await store.list(BGPConfiguration)).objects,
    )
