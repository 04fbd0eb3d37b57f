"""What of this node's pods lies in no pool, as after a pool was deleted that pods still have addresses of.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Iterator

from datastore.notices import Notice
from felix_py.snapshot import Snapshot
from net.prefix import Prefix

_NAT = "natOutgoing takes them for destinations outside the cluster"


def outside_notices(snapshot: Snapshot) -> Iterator[Notice]:
    """Yield a notice for each block that this node has claimed, and each pod with borrowed addresses, in no pool.

    Pods whose addresses are not IPAM's need no pool. Usually this costs a look at each block.
    """
    pools = snapshot.pool_prefixes()

    def is_outside(found: Prefix) -> bool:
        return not any(pool.contains(found) for pool in pools)

    for block in sorted(Prefix.parse(one.spec.cidr) for one in snapshot.affinities.values() if one.confirmed):
        if is_outside(block):
            effect = f"its pods are routed as before, no more get an address of it, and {_NAT}"
            yield Notice(
                "IPAMBlock", str(block), "", "it is this node's, and no IPPool that can be read holds it", effect
            )
    for key, addresses in snapshot.outside_own_blocks().items():
        lost = sorted(filter(is_outside, addresses))
        if lost and not snapshot.endpoints[key].given_by:
            which = ", ".join(one.address for one in lost)
            reason = f"no IPPool that can be read holds its {which}, nor a block of this node"
            effect = f"other nodes do not learn a route to it, and {_NAT}"
            yield Notice("WorkloadEndpoint", f"{key.namespace}/{key.name}", "spec.ipNetworks", reason, effect)
