"""The records that `ipam check`, `release` and `split` decide from, read from the datastore."""

from __future__ import annotations

from datastore.cas import found_or_none
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Store
from felixctl.ipam.records import IpamRecords


async def read_records(store: Store) -> IpamRecords:
    """Return everything the check compares. Endpoints are read last, so a pod that arrives meanwhile is among them."""
    blocks = await store.list(IPAMBlock)
    affinities = await store.list(BlockAffinity)
    pools = await store.list(IPPool)
    handles = await store.list(IPAMHandle)
    nodes = await store.list(Node)
    endpoints = await store.list(WorkloadEndpoint)
    everything = (blocks, affinities, pools, handles, nodes, endpoints)
    return IpamRecords(
        blocks=blocks.objects,
        affinities=affinities.objects,
        pools=pools.objects,
        handles=handles.objects,
        nodes=nodes.objects,
        endpoints=endpoints.objects,
        unread=[record for listed in everything for record in listed.unreadable],
    )


async def cluster_information(store: Store) -> ClusterInformation | None:
    return await found_or_none(store.get(ClusterInformation, "default"))
