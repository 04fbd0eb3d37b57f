"""What this node announces: its confirmed blocks, and what its pods and tunnels borrowed from others' blocks.

Pure. The rules are Calico's export policy: nothing of a pool with disableBGPExport is announced, a pod inside an own
block is covered by the block, any other pod address inside a pool goes out on its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bgp.speaker import Attributes
from felix_py.identity import Addresses
from felix_py.snapshot import Pool
from net.prefix import Prefix


class Announceable(Struct, frozen=True):
    """What this node may have to announce.

    addresses: of its pods and tunnels, each a /32 or /128; those in its blocks may be left out. node: its own, the next
    hops.
    """

    blocks: tuple[Prefix, ...]
    addresses: tuple[Prefix, ...]
    pools: tuple[Pool, ...]
    node: Addresses

    def borrowed(self) -> list[Prefix]:
        """Return the addresses that lie in a pool, but in no block of this node."""
        return [
            address
            for address in self.addresses
            if not any(block.contains(address) for block in self.blocks)
            and any(pool.prefix.contains(address) for pool in self.pools)
        ]

    def exported(self, prefix: Prefix) -> bool:
        return all(pool.exported for pool in self.pools if pool.prefix.contains(prefix))


def rib_out(what: Announceable) -> Mapping[Prefix, Attributes]:
    """Return every announcement of a node. A family in which the node has no address announces nothing."""
    shared = {hop: Attributes(next_hop=hop) for hop in what.node if hop}
    return {
        prefix: shared[hop]
        for prefix in (*what.blocks, *what.borrowed())
        if (hop := what.node.of_family(prefix)) and what.exported(prefix)
    }
