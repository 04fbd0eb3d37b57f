"""What a host knows, without asking anybody, of the room that its pods have.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from datastore.fields import Network
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.pools import IPPool
from ipam import block as blocks
from net.address_range import lies_in


class Room(Struct, frozen=True):
    """claimed: the blocks of every host. own: the host's, each as it was last seen, None: not yet.

    strict: whether hosts assign from their own blocks only. claims: whether they claim more as they need them.
    """

    pools: tuple[IPPool, ...]
    claimed: Collection[Network]
    own: Mapping[Network, IPAMBlock | None]
    strict: bool = False
    claims: bool = True

    def in_pool(self, pool: IPPool) -> bool:
        """Whether a block of the host has a free address of a pool, or one may be claimed, as far as is known."""
        mine = (block for cidr, block in self.own.items() if lies_in(cidr, pool.network))
        if any(block is None or blocks.has_free(block) for block in mine):
            return True
        claimed = sum(lies_in(cidr, pool.network) for cidr in self.claimed)
        return self.claims and claimed < 1 << (pool.block_size - pool.network.prefixlen)
