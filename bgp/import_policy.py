"""What we refuse to learn, and why.

Pure: no I/O, no clock, no logging. ExaBGP passes on whatever parses: every check that keeps a peer's mistake
out of this node's kernel is here.
"""

from __future__ import annotations

from collections.abc import Iterable
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


class Networks:
    """Networks that are often asked whether one of them contains a prefix: one look-up per length among them."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        by_length: dict[tuple[int, int], set[int]] = {}
        for prefix in prefixes:
            number = int.from_bytes(prefix.packed) >> (prefix.bits - prefix.length)
            by_length.setdefault((len(prefix.packed), prefix.length), set()).add(number)
        self._lengths: dict[int, list[tuple[int, set[int]]]] = {4: [], 16: []}
        for (size, length), numbers in by_length.items():
            self._lengths[size].append((length, numbers))

    def contain(self, prefix: Prefix) -> bool:
        packed, own_length = prefix
        number, bits = int.from_bytes(packed), 8 * len(packed)
        for length, numbers in self._lengths[len(packed)]:
            if length <= own_length and number >> (bits - length) in numbers:
                return True
        return False


# No router forwards to or through these (RFC 6890). RFC 1918 and the like are what clusters are made of.
MARTIANS = Networks(
    map(
        Prefix.parse,
        (
            "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
            "::/128", "::1/128", "::ffff:0.0.0.0/96", "fe80::/10", "ff00::/8",
        ),
    )
)  # fmt: skip


class Judge:
    """One import policy, ready to be asked about many announcements."""

    def __init__(self, policy: ImportPolicy) -> None:
        self.policy = policy
        self._own_blocks = Networks(policy.own_blocks)
        self._pools = Networks(policy.pools)

    def refusal(self, prefix: Prefix, attributes: Attributes, neighbour: Neighbour) -> Refusal | None:
        """Return why this announcement of this neighbour is not used, or None: it is."""
        return self.attributes(attributes, neighbour) or self.prefix(prefix, attributes, neighbour)

    def attributes(self, attributes: Attributes, neighbour: Neighbour) -> Refusal | None:
        """Return what is wrong with the attributes, whatever the prefix.

        RFC 7606 makes withdrawals of announcements with bad mandatory attributes; loops: RFC 4271 §9.1.2, RFC 4456 §8.
        """
        next_hop, policy = attributes.next_hop, self.policy
        if attributes.origin in (None, "invalid"):
            return Refusal.BAD_ORIGIN
        if neighbour.peer_as != neighbour.local_as and not attributes.as_path_length:
            return Refusal.EMPTY_AS_PATH
        if not next_hop:
            return Refusal.NO_NEXT_HOP
        if next_hop in policy.own_addresses:
            return Refusal.OWN_NEXT_HOP
        if MARTIANS.contain(Prefix.host(next_hop)):
            return Refusal.MARTIAN_NEXT_HOP
        if any({policy.own_as, neighbour.local_as} & set(segment.numbers) for segment in attributes.as_path):
            return Refusal.OWN_AS
        if attributes.originator_id == policy.router_id:
            return Refusal.OWN_ORIGINATOR
        if policy.router_id in attributes.cluster_list:
            return Refusal.OWN_CLUSTER
        return None

    def prefix(self, prefix: Prefix, attributes: Attributes, neighbour: Neighbour) -> Refusal | None:
        """Return why nobody, or not this neighbour, may lead us to this prefix.

        A host route inside a block of ours is welcome from a node: it has borrowed that address.
        """
        if len(attributes.next_hop) != len(prefix.packed):
            return Refusal.OTHER_FAMILY
        if prefix.length == 0:
            return Refusal.DEFAULT_ROUTE
        if MARTIANS.contain(prefix):
            return Refusal.MARTIAN_PREFIX
        borrowed = prefix.is_host and neighbour.is_node
        if not borrowed and self._own_blocks.contain(prefix):
            return Refusal.OWN_BLOCK
        if not neighbour.is_node and self._pools.contain(prefix):
            return Refusal.POOL_FROM_OUTSIDE
        return None
