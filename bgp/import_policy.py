"""What we refuse to learn, and why.

Pure: no I/O, no clock, no logging. ExaBGP passes on whatever parses: every check that keeps a peer's mistake
out of this node's kernel is here.
"""

from __future__ import annotations

from enum import StrEnum

from bgp.speaker import Attributes, ImportPolicy, Neighbour
from kernel.prefix import Prefix


class Refusal(StrEnum):
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
MARTIANS = tuple(
    map(
        Prefix.parse,
        (
            "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
            "::/128", "::1/128", "::ffff:0.0.0.0/96", "fe80::/10", "ff00::/8",
        ),
    )
)  # fmt: skip


def refusal(prefix: Prefix, attributes: Attributes, neighbour: Neighbour, policy: ImportPolicy) -> Refusal | None:
    """Return why this announcement of this neighbour is not used, or None: it is."""
    return attributes_refusal(attributes, neighbour, policy) or prefix_refusal(prefix, attributes, neighbour, policy)


def attributes_refusal(attributes: Attributes, neighbour: Neighbour, policy: ImportPolicy) -> Refusal | None:
    """Return what is wrong with the attributes, whatever the prefix.

    RFC 7606 makes withdrawals of announcements with bad mandatory attributes; loops: RFC 4271 §9.1.2, RFC 4456 §8.
    """
    next_hop = attributes.next_hop
    if attributes.origin in (None, "invalid"):
        return Refusal.BAD_ORIGIN
    if neighbour.peer_as != neighbour.local_as and not attributes.as_path_length:
        return Refusal.EMPTY_AS_PATH
    if not next_hop:
        return Refusal.NO_NEXT_HOP
    if next_hop in policy.own_addresses:
        return Refusal.OWN_NEXT_HOP
    if _is_martian(Prefix.host(next_hop)):
        return Refusal.MARTIAN_NEXT_HOP
    if any({policy.own_as, neighbour.local_as} & set(segment.numbers) for segment in attributes.as_path):
        return Refusal.OWN_AS
    if attributes.originator_id == policy.router_id:
        return Refusal.OWN_ORIGINATOR
    if policy.router_id in attributes.cluster_list:
        return Refusal.OWN_CLUSTER
    return None


def prefix_refusal(
    prefix: Prefix, attributes: Attributes, neighbour: Neighbour, policy: ImportPolicy
) -> Refusal | None:
    """Return why nobody, or not this neighbour, may lead us to this prefix.

    A host route inside a block of ours is welcome from a node: it has borrowed that address.
    """
    if len(attributes.next_hop) != len(prefix.packed):
        return Refusal.OTHER_FAMILY
    if prefix.length == 0:
        return Refusal.DEFAULT_ROUTE
    if _is_martian(prefix):
        return Refusal.MARTIAN_PREFIX
    borrowed = prefix.is_host and neighbour.is_node
    if not borrowed and any(block.contains(prefix) for block in policy.own_blocks):
        return Refusal.OWN_BLOCK
    if not neighbour.is_node and any(pool.contains(prefix) for pool in policy.pools):
        return Refusal.POOL_FROM_OUTSIDE
    return None


def _is_martian(prefix: Prefix) -> bool:
    return any(martian.contains(prefix) for martian in MARTIANS)
