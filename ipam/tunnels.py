"""The addresses of a node's tunnel devices: one for each kind of tunnel that the pools ask for.

An address is assigned or released, and noted in an annotation of the Node. A crash between the two leaves an address
under the tunnel's own handle, which the next update releases first.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from datastore.cas import found_or_none
from datastore.fields import Address
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.node import TUNNEL_ANNOTATIONS, Node, TunnelKind
from datastore.kinds.pools import IPPool
from datastore.store import Store
from ipam import search
from ipam.allocator import AddressesWanted, Allocator
from ipam.block import Allocation, allocations
from ipam.names import cidr_name
from ipam.tunnel_pools import ADDRESS_TYPES, KINDS, tunnel_handle, tunnel_pools, version_of


class TunnelAddresses:
    """The tunnel addresses of one node."""

    def __init__(self, store: Store, allocator: Allocator, node: str, *, of_pod_cidrs: bool = False) -> None:
        """of_pod_cidrs: an address is the first of the node's podCIDR, as in Calico, and in no block of IPAM's."""
        self._store, self._of_pod_cidrs = store, of_pod_cidrs
        self._allocator = allocator
        self._node = node

    async def update(self, kinds: Iterable[TunnelKind] = KINDS) -> dict[TunnelKind, Address]:
        """Give each tunnel of these kinds an address exactly when it needs one, and return the addresses.

        To be called when the node starts and after each change of pools, of the node or of its blocks: what a block has
        assigned may be gone with it. Raises what `assign` raises.
        """
        found: dict[TunnelKind, Address] = {}
        for kind in kinds:
            address = await self._update_one(kind)
            if address is not None:
                found[kind] = address
        return found

    async def _update_one(self, kind: TunnelKind) -> Address | None:
        node, pools = await self._store.get(Node, self._node), (await self._store.list(IPPool)).complete()
        candidates = tunnel_pools(kind, node, pools)
        noted = node.tunnel_address(kind)
        if self._of_pod_cidrs:
            return await self._first_of_pod_cidr(kind, node, noted, wanted=bool(candidates))
        if noted is not None and await self._may_stay(kind, noted, candidates):
            return noted
        await self._allocator.release_handle(tunnel_handle(kind, self._node))
        if candidates:
            return await self._assign(kind, candidates)
        if noted is not None:
            await self._note(kind, None)
        return None

    async def _first_of_pod_cidr(
        self, kind: TunnelKind, node: Node, noted: Address | None, *, wanted: bool
    ) -> Address | None:
        """Return the address that `host-local` keeps for a gateway, and gives to no pod."""
        networks = [network for network in node.pod_cidrs if network.version == version_of(kind)]
        address = networks[0][1] if wanted and networks else None
        if address != noted:
            await self._allocator.release_handle(tunnel_handle(kind, self._node))
            await self._note(kind, address)
        return address

    async def _may_stay(self, kind: TunnelKind, noted: Address, candidates: Iterable[IPPool]) -> bool:
        """True if the address is still this tunnel's, and comes from a pool that it may come from."""
        pool = search.pool_of(candidates, ip_network(noted))
        one = await self._allocation(noted, pool) if pool else None
        handle = tunnel_handle(kind, self._node)
        return one is not None and one.handle == handle and one.attributes.get("type") == ADDRESS_TYPES[kind]

    async def _assign(self, kind: TunnelKind, candidates: Iterable[IPPool]) -> Address:
        cidrs = tuple(pool.spec.cidr for pool in candidates)
        four = version_of(kind) == 4
        handle = tunnel_handle(kind, self._node)
        given = await self._allocator.assign(
            AddressesWanted(
                self._node,
                handle,
                {"node": self._node, "type": ADDRESS_TYPES[kind]},
                ipv4=int(four),
                ipv6=int(not four),
                pools4=cidrs if four else (),
                pools6=() if four else cidrs,
                use="Tunnel",
            )
        )
        [address] = given.blocks
        try:
            await self._note(kind, address)
        except Exception:
            await self._allocator.release_handle(handle)
            raise
        return address

    async def _note(self, kind: TunnelKind, address: Address | None) -> None:
        """Write the address to the Node's annotation, or remove the annotation."""
        annotations = {TUNNEL_ANNOTATIONS[kind]: str(address) if address else None}
        await self._store.patch(Node, self._node, {"metadata": {"annotations": annotations}})

    async def _allocation(self, address: Address, pool: IPPool) -> Allocation | None:
        cidr = search.block_around(pool, ip_network(address))
        block = await found_or_none(self._store.get(IPAMBlock, cidr_name(str(cidr))))
        if block is None:
            return None
        return next((one for one in allocations(block) if one.address == address and not one.released), None)
