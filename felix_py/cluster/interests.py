"""What of the datastore an agent hears about: what concerns its node, and nothing that changes with other nodes' pods.

Pure. Which node has a block its affinity says, which changes when a block is claimed or given up. A borrowed address
is announced by the node that has it. Only where it is not are blocks watched, all of them, as they are the only ones
to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool, IPReservation
from datastore.record import Resource
from datastore.store import Interest
from felix_py.encap.ipip import IPIP
from felix_py.notices.unobeyed_fields import WATCHED_FOR_NOTICES
from felix_py.snapshot import Pool


def watched(node: str, *, blocks: bool = False) -> tuple[type[Resource] | Interest[Any], ...]:
    """Return what the agent of a node watches."""
    return (
        ClusterInformation,  # the first: what follows may be of another cluster
        Node,
        IPPool,
        BGPConfiguration,
        BGPPeer,
        FelixConfiguration,
        BlockAffinity,
        *((IPAMBlock,) if blocks else ()),
        Interest(WorkloadEndpoint, node=node),
        IPAMConfig,  # these two for the allocator, which shares the watch
        IPReservation,
        *WATCHED_FOR_NOTICES,
    )


def needs_blocks(pools: Iterable[Pool], alone: Callable[[], bool]) -> bool:
    """Whether borrowed addresses of a pool that wants a tunnel are learned from blocks alone.

    alone: whether no other node announces anything to this one, asked only where it matters: it looks at all sessions.
    Where no pool wants a tunnel, such an address has no route.
    """
    tunnelled = [pool for pool in pools if IPIP.wanted_by(pool.resource)]
    return bool(tunnelled) and (not all(pool.exported for pool in tunnelled) or alone())
