"""Which announcements are rejected, and why.

Pure: no I/O, no clock, no logging. ExaBGP passes on whatever parses: every check that keeps a peer's mistake
out of this node's kernel is here.
"""

from __future__ import annotations

from enum import StrEnum

from bgp.speaker import Attributes, LocalNode, Neighbour
from net.prefix import Prefix
from net.prefix_set import PrefixSet


class RejectReason(StrEnum):
    """Why an announcement is not used; the text is what status shows."""

    MALFORMED = "malformed attributes"
    BAD_ORIGIN = "bad or missing ORIGIN"
    EMPTY_AS_PATH = "external path without an AS"
    NO_NEXT_HOP = "missing next hop"
    OTHER_FAMILY = "next hop of another family"
    OWN_NEXT_HOP = "next hop is this node"
    MARTIAN_NEXT_HOP = "martian next hop"
    OWN_AS = "own AS in AS_PATH"
    OWN_ORIGINATOR = "own ORIGINATOR_ID"
    OWN_CLUSTER = "own id in CLUSTER_LIST"
    DEFAULT_ROUTE = "default route"
    MARTIAN_PREFIX = "martian prefix"
    OWN_BLOCK = "inside a block of this node"
    POOL_FROM_OUTSIDE = "inside a pool, from a peer that is no node"
    OVER_LIMIT = "over the prefix limit"


# No router forwards to or through these (RFC 6890). RFC 1918 and the like are what clusters are made of.
MARTIANS = PrefixSet(
    map(
        Prefix.parse,
        (
            "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
            "::/128", "::1/128", "::ffff:0.0.0.0/96", "fe80::/10", "ff00::/8",
        ),
    )
)  # fmt: skip


class ImportFilter:
    """The checks of one node, ready for many announcements of many neighbours."""

    def __init__(self, local: LocalNode) -> None:
        self.local = local
        self._own_blocks = PrefixSet(local.own_blocks)
        self._pools = PrefixSet(local.pools)

    def reject_reason(self, prefix: Prefix, attributes: Attributes, neighbour: Neighbour) -> RejectReason | None:
        """Return why this announcement of this neighbour is not used, or None: it is."""
        return self.attributes(attributes, neighbour) or self.prefix(prefix, attributes, neighbour)

    def attributes(self, attributes: Attributes, neighbour: Neighbour) -> RejectReason | None:
        """Return what is wrong with the attributes, whatever the prefix.

        RFC 7606 makes withdrawals of announcements with bad mandatory attributes; loops: RFC 4271 §9.1.2, RFC 4456 §8.
        """
        next_hop, local = attributes.next_hop, self.local
        if attributes.origin in (None, "invalid"):
            return RejectReason.BAD_ORIGIN
        if neighbour.peer_as != neighbour.local_as and not attributes.as_path_length:
            return RejectReason.EMPTY_AS_PATH
        if not next_hop:
            return RejectReason.NO_NEXT_HOP
        if next_hop in local.own_addresses:
            return RejectReason.OWN_NEXT_HOP
        if MARTIANS.contains(Prefix.host(next_hop)):
            return RejectReason.MARTIAN_NEXT_HOP
        if any({local.own_as, neighbour.local_as} & set(segment.numbers) for segment in attributes.as_path):
            return RejectReason.OWN_AS
        if attributes.originator_id == local.router_id:
            return RejectReason.OWN_ORIGINATOR
        if local.router_id in attributes.cluster_list:
            return RejectReason.OWN_CLUSTER
        return None

    def prefix(self, prefix: Prefix, attributes: Attributes, neighbour: Neighbour) -> RejectReason | None:
        """Return why this prefix is not accepted, from any neighbour or from this one.

        A host route inside one of our blocks is accepted from a node: it has borrowed that address.
        """
        if len(attributes.next_hop) != len(prefix.packed):
            return RejectReason.OTHER_FAMILY
        if prefix.length == 0:
            return RejectReason.DEFAULT_ROUTE
        if MARTIANS.contains(prefix):
            return RejectReason.MARTIAN_PREFIX
        borrowed = prefix.is_host and neighbour.is_node
        if not borrowed and self._own_blocks.contains(prefix):
            return RejectReason.OWN_BLOCK
        if not neighbour.is_node and self._pools.contains(prefix):
            return RejectReason.POOL_FROM_OUTSIDE
        return None
