"""Which announcements are rejected, and why.

Pure: no I/O, no clock, no logging. ExaBGP passes on whatever parses: every check that keeps a peer's mistake
out of this node's kernel is here.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from itertools import chain

from bgp.speaker import Attributes, LocalNode, Neighbour
from net.prefix import Prefix
from net.prefix_set import PrefixSet


class RejectReason(StrEnum):
    """Why an announcement is not used, and what would change that. The text is what status and `why` show."""

    MALFORMED = "malformed attributes (change it at the peer)"
    BAD_ORIGIN = "bad or missing ORIGIN (change it at the peer)"
    EMPTY_AS_PATH = "external path without an AS (change it at the peer, or asNumber of the BGPPeer)"
    NO_NEXT_HOP = "missing next hop (change it at the peer)"
    OTHER_FAMILY = "next hop of another family (change it at the peer)"
    OWN_NEXT_HOP = "next hop is this node (change it at the peer, unless it sends back what this node announced)"
    MARTIAN_NEXT_HOP = "martian next hop (change it at the peer)"
    MAPPED_NEXT_HOP = "IPv4-mapped next hop, through which no kernel can send (change it at the peer)"
    OWN_AS = "own AS in AS_PATH (BGPPeer: numAllowedLocalASNumbers)"
    OWN_ORIGINATOR = "own ORIGINATOR_ID (our own route if the router id is ours alone, else setting CALICO_ROUTER_ID)"
    OWN_CLUSTER = "own id in CLUSTER_LIST (the reflector's cluster id, or setting CALICO_ROUTER_ID)"
    DEFAULT_ROUTE = "default route (annotation felix-py/accept-default-route)"
    MARTIAN_PREFIX = "martian prefix (an IPPool that holds it, else change it at the peer)"
    OWN_BLOCK = "inside a block of this node (change it at the peer)"
    POOL_FROM_OUTSIDE = (
        "inside a pool, from a peer that is no node, and not by way of the node that has this block"
        " (have the peer keep the next hop, or peer with nodes by peerSelector)"
    )
    OF_SERVICES = (
        "inside a range of services, which each node reaches by its own kube-proxy (BGPConfiguration default:"
        " serviceClusterIPs, serviceExternalIPs, serviceLoadBalancerIPs)"
    )
    HIDES_HOST = "would hide the connected way to a node or peer (change it at the peer)"
    INSIDE_SUBNET = "inside the subnet of this node (annotation felix-py/accept-inside-node-subnet)"
    OVER_LIMIT = "over the prefix limit (annotation felix-py/prefix-limit)"
    TOO_MANY_NEXT_HOPS = "over the limit of next hops, a quarter of the prefix limit (annotation felix-py/prefix-limit)"
    TOO_MUCH = "over 50 AS numbers and communities for each prefix of the limit (annotation felix-py/prefix-limit)"
    TOO_LONG = "more than 1000 AS numbers and communities in one path (change it at the peer)"


# No router forwards to or through these (RFC 6890). RFC 1918 and the like are what clusters are made of.
# Whether a link-local next hop can be reached is the kernel's to say: racks number their uplinks so, or not at all.
_NEXT_HOP_MARTIANS = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "ff00::/8")
_IPV4_MAPPED, _LINK_LOCAL = "::ffff:0.0.0.0/96", ("169.254.0.0/16", "fe80::/10")
MARTIAN_NEXT_HOPS = PrefixSet(map(Prefix.parse, _NEXT_HOP_MARTIANS))
MAPPED_NEXT_HOPS = PrefixSet([Prefix.parse(_IPV4_MAPPED)])
MARTIANS = tuple(map(Prefix.parse, (*_NEXT_HOP_MARTIANS, _IPV4_MAPPED, *_LINK_LOCAL)))


class ImportFilter:
    """The checks of one node, ready for many announcements of many neighbours."""

    def __init__(self, local: LocalNode) -> None:
        self.local = local
        # What a rule is about whose networks hold a prefix; most prefixes of a peer outside are in none of them.
        ruled = (local.pools, local.own_blocks, local.services, local.connected, MARTIANS)
        self._pools, self._own_blocks, self._services, self._subnets, self._martians = map(PrefixSet, ruled)
        self._ruled = PrefixSet(chain.from_iterable(ruled))
        self._covering_hosts = _within_connected(local)
        self._connected = frozenset(local.connected)
        self._owners = dict(local.owners)

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
        if wrong := _wrong_next_hop(next_hop):
            return wrong
        if attributes.as_path:  # within an AS most paths have none
            own = {local.own_as, neighbour.local_as}
            times = sum(number in own for segment in attributes.as_path for number in segment.numbers)
            if times > neighbour.import_policy.own_as_allowed:
                return RejectReason.OWN_AS
        if attributes.originator_id == local.router_id:
            return RejectReason.OWN_ORIGINATOR
        if local.router_id in attributes.cluster_list:
            return RejectReason.OWN_CLUSTER
        return None

    def prefix(self, prefix: Prefix, attributes: Attributes, neighbour: Neighbour) -> RejectReason | None:
        """Return why this prefix is not accepted, from any neighbour or from this one.

        Who owns it decides: a block is accepted of whoever hands it on, if its next hop is the node that has it. A
        single address may be borrowed from any block, which no record here tells: its next hop is to be one of the
        nodes. A node is believed without that: its claim may reach us after its route.
        """
        if len(attributes.next_hop) != len(prefix.packed):
            return RejectReason.OTHER_FAMILY
        if prefix.length == 0:
            return None if neighbour.import_policy.default_route else RejectReason.DEFAULT_ROUTE
        if not self._ruled.contains(prefix) and prefix not in self._covering_hosts:
            return None  # one look instead of one for each rule
        in_pool = self._pools.contains(prefix)
        if not in_pool and self._martians.contains(prefix):
            return RejectReason.MARTIAN_PREFIX
        by_its_owner = attributes.next_hop in self._owners.get(prefix, ()) or (
            prefix.is_host and attributes.next_hop in self.local.nodes
        )
        borrowed = prefix.is_host and (neighbour.is_node or by_its_owner)
        if not borrowed and self._own_blocks.contains(prefix):
            return RejectReason.OWN_BLOCK
        if in_pool and not (neighbour.is_node or by_its_owner):
            return RejectReason.POOL_FROM_OUTSIDE
        if not in_pool and self._services.contains(prefix):
            return RejectReason.OF_SERVICES
        if prefix in self._covering_hosts:
            return RejectReason.HIDES_HOST
        if not in_pool and not neighbour.import_policy.inside_subnet and self._is_inside_subnet(prefix):
            return RejectReason.INSIDE_SUBNET
        return None

    def _is_inside_subnet(self, prefix: Prefix) -> bool:
        """Whether a prefix is narrower than a connected network that it lies in."""
        return prefix not in self._connected and self._subnets.contains(prefix)


@lru_cache(maxsize=1024)
def _wrong_next_hop(next_hop: bytes) -> RejectReason | None:
    """Return what is wrong with a next hop on any node; a table of many routes has few of them."""
    host = Prefix.host(next_hop)
    if MARTIAN_NEXT_HOPS.contains(host):
        return RejectReason.MARTIAN_NEXT_HOP
    return RejectReason.MAPPED_NEXT_HOP if MAPPED_NEXT_HOPS.contains(host) else None


def _within_connected(local: LocalNode) -> frozenset[Prefix]:
    """Return every network that holds a host of `local` and is narrower than the connected network that holds it."""
    found: set[Prefix] = set()
    for address in local.hosts:
        host = Prefix.host(address)
        lengths = [one.length for one in local.connected if one.contains(host)]
        number = int.from_bytes(address)
        for length in range(host.bits, min(lengths, default=host.bits), -1):
            kept = number >> (host.bits - length) << (host.bits - length)
            network = Prefix(kept.to_bytes(len(address)), length)
            if network in found:
                break  # another host is in it, and so in all that are wider
            found.add(network)
    return frozenset(found)
