"""The blocks that this node's addresses lie in, read when a check asks for them: nothing else needs what they hold.

An edge to the datastore. Which blocks those are is decided by `concerning`.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

from msgspec import Struct

from datastore.cas import found_or_none
from datastore.errors import BadRecord
from datastore.fields import Network
from datastore.kinds.ipam import IPAMBlock
from datastore.notices import Notice
from datastore.store import Store
from felix_py.snapshot import Snapshot
from ipam.names import cidr_name
from ipam.search import block_around, pool_of
from net.prefix import Prefix


class Concerning(Struct, frozen=True):
    """cidrs: this node's blocks, and those that its pods' addresses lie in. homeless: addresses that lie in no pool."""

    cidrs: frozenset[Network]
    homeless: frozenset[Prefix]


class BlocksRead(Struct, frozen=True):
    """What was found. unknown: blocks and addresses of which nothing can be said."""

    blocks: tuple[IPAMBlock, ...] = ()
    unknown: frozenset[Prefix] = frozenset()
    notices: tuple[Notice, ...] = ()


def concerning(snapshot: Snapshot) -> Concerning:
    """Return which blocks this node's pods and claims are about."""
    pools = [pool.resource for pool in snapshot.pools.values()]
    cidrs = {affinity.network for affinity in snapshot.affinities.values()}
    homeless = set()
    for endpoint in snapshot.endpoints.values():
        for address in () if endpoint.given_by else endpoint.addresses:
            if snapshot.in_own_block(address):
                continue
            wanted = ip_network(str(address))
            pool = pool_of(pools, wanted)
            if pool is not None:
                cidrs.add(block_around(pool, wanted))
            else:
                homeless.add(address)
    return Concerning(frozenset(cidrs), frozenset(homeless))


async def read_blocks(store: Store, wanted: Concerning) -> BlocksRead:
    """Read each of these blocks that there is. Raises Unavailable."""
    cidrs = sorted(wanted.cidrs, key=str)
    found = await asyncio.gather(*(_read(store, cidr) for cidr in cidrs))
    unreadable = {Prefix.parse(str(cidr)) for cidr, one in zip(cidrs, found, strict=True) if isinstance(one, Notice)}
    return BlocksRead(
        tuple(one for one in found if isinstance(one, IPAMBlock)),
        wanted.homeless | unreadable,
        tuple(one for one in found if isinstance(one, Notice)),
    )


async def _read(store: Store, cidr: Network) -> IPAMBlock | Notice | None:
    name = cidr_name(str(cidr))
    try:
        return await found_or_none(store.get(IPAMBlock, name))
    except BadRecord as unread:
        return Notice(IPAMBlock.KIND, name, "", f"it cannot be read: {unread}", "what it holds is not checked")
