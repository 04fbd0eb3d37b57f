"""Who may send into this node's end of a tunnel: nodes of the cluster, and networks that are named beside them.

Pure. The kernel's device unpacks whatever of its protocol reaches the host, from anyone, and what comes out counts as
sent by a pod.
"""

from __future__ import annotations

from kernel.nftables_steps import count, drop, is_family, is_in, is_protocol
from kernel.nftables_table import AddressSet, AttachedChain, Program
from net.packet_filter import Hook

IPIP_PROTOCOL = 4
_FILTER = 0  # where iptables and nft have it among the chains at that hook


def guard(nodes: AddressSet) -> AttachedChain:
    """Return the chain that drops what others than these send into the tunnel."""
    steps = (*is_family(nodes.size), *is_protocol(IPIP_PROTOCOL), *is_in("source", nodes, inside=False))
    told = Program((*steps, *count(), *drop()), "tunnel packets of others than nodes")
    return AttachedChain("input", "filter", Hook.INPUT, _FILTER, (told,))
