"""What this node announces: its confirmed blocks, and what its pods and tunnels borrowed from others' blocks.

Pure. The rules are Calico's export policy: nothing of a pool with disableBGPExport is announced, a pod inside an own
block is covered by the block, any other pod address inside a pool goes out on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bgp.speaker import Attributes
from felix_py.identity import Addresses
from felix_py.snapshot import Endpoint, Pool
from net.prefix import Prefix


def rib_out(
    blocks: Iterable[Prefix],
    endpoints: Iterable[Endpoint],
    pools: Iterable[Pool],
    node: Addresses,
    tunnels: Iterable[Prefix] = (),
) -> Mapping[Prefix, Attributes]:
    """Return every announcement of this node. A family in which the node has no address announces nothing."""
    own, pools = tuple(blocks), tuple(pools)
    prefixes = [*own, *borrowed(own, endpoints, pools, tunnels)]
    shared = {hop: Attributes(next_hop=hop) for hop in node if hop}
    return {prefix: shared[hop] for prefix in prefixes if (hop := node.of_family(prefix)) and _exported(prefix, pools)}


def borrowed(
    blocks: Iterable[Prefix], endpoints: Iterable[Endpoint], pools: Iterable[Pool], tunnels: Iterable[Prefix] = ()
) -> list[Prefix]:
    """Return the addresses of our pods and tunnels that lie in a pool, but in no block of ours."""
    own, pools = tuple(blocks), tuple(pools)
    return [
        address
        for address in (*(address for endpoint in endpoints for address in endpoint.addresses), *tunnels)
        if not any(block.contains(address) for block in own) and any(pool.prefix.contains(address) for pool in pools)
    ]


def _exported(prefix: Prefix, pools: tuple[Pool, ...]) -> bool:
    return all(pool.exported for pool in pools if pool.prefix.contains(prefix))
