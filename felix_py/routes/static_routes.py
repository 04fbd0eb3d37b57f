"""The host route to each BGP peer that is to be reached by a gateway: `reachableBy`, as Calico's BIRD has it.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bgp.peering_inputs import addresses
from datastore import fields
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.node import Node
from felix_py.routes.fib import Ownership
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix


def gateways(peers: Iterable[BGPPeer], node: Node | None) -> dict[Prefix, bytes]:
    """Return by which gateway each peer of this node is to be reached, where one is named.

    Of several BGPPeers with one address the first counts, as for the session: global ones, then by name. A link-local
    address is on every link, so that it says no way.
    """
    if node is None:
        return {}
    first: dict[Prefix, BGPPeer] = {}
    for peer in sorted(peers, key=lambda peer: (not peer.is_global, peer.name)):
        if peer.address is not None and peer.starts_at(node.name, node.labels):
            first.setdefault(Prefix.host(peer.address.packed), peer)
    own = addresses(node).values()
    found = {}
    for prefix, peer in first.items():
        if peer.spec.reachable_by and prefix.address not in own:
            gateway = fields.address(peer.spec.reachable_by)
            if not (gateway.version == 6 and gateway.is_link_local):
                found[prefix] = gateway.packed
    return found


def static_routes(
    wanted: Mapping[Prefix, bytes], on_link: Callable[[bytes], NextHop | None], ownership: Ownership
) -> dict[Prefix, RouteSpec]:
    """Return the route by each gateway. One that is on no link of this host leaves its route without a way.

    on_link: how an address is reached that is on a link.
    """
    hops = {gateway: on_link(gateway) for gateway in set(wanted.values())}
    return {
        prefix: RouteSpec(ownership.local, hops=(hop,) if hop is not None else (), metric=ownership.metric)
        for prefix, gateway in wanted.items()
        for hop in (hops[gateway],)
    }
