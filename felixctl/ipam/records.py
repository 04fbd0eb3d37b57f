"""IPAM's records and what really uses addresses, side by side, with what follows from them.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter

from msgspec import Struct

from datastore.fields import Address
from datastore.names import IPAM
from datastore.plain_claims import NODE, AnyAffinity, AnyNode, AnyPool
from datastore.store import Unreadable
from datastore.summaries import AnyBlock, AnyEndpoint, AnyHandle
from ipam.block import Allocation, assigned_in
from ipam.leaks import Leaks, find_leaks
from ipam.matching import Matching, match
from ipam.names import WINDOWS_HANDLE


class IpamRecords(Struct, frozen=True, dict=True):
    """Everything that the check compares, as it was read."""

    blocks: Sequence[AnyBlock]
    pools: Sequence[AnyPool]
    nodes: Sequence[AnyNode]
    endpoints: Sequence[AnyEndpoint]
    handles: Sequence[AnyHandle]
    affinities: Sequence[AnyAffinity]
    without_device: Collection[tuple[str | None, str]] = ()
    """Namespace and name of each endpoint whose device is known to be gone."""
    unread: Sequence[Unreadable] = ()
    """The records that cannot be read, and so are absent for every reader. What they may stand for is not known."""

    @cached_property
    def allocations(self) -> tuple[Allocation, ...]:
        """The assigned addresses, block by block, without those that cool down after a release."""
        return assigned_in(self.blocks)

    @cached_property
    def tunnels(self) -> Mapping[Address, str]:
        """The addresses of tunnels, each with the node that has it."""
        return {address: f"Node({node.name})" for node in self.nodes for address in node.tunnel_addresses}

    @cached_property
    def matching(self) -> Matching:
        """The addresses that are assigned beside those that endpoints have."""
        return match(self.allocations, self.endpoint_of)

    @cached_property
    def workloads(self) -> Mapping[Address, str]:
        """The addresses of pods, each with the endpoint that has it, by namespace and pod."""
        return _titles(self.endpoint_of)

    @cached_property
    def endpoint_of(self) -> Mapping[Address, AnyEndpoint]:
        """The addresses of endpoints; one that several have is the last's, by namespace and pod."""
        found = {address: one for one in self.endpoints for address in one.addresses}
        if len(found) == sum(len(one.addresses) for one in self.endpoints):
            return found
        ordered = sorted(self.endpoints, key=_order)
        return {address: one for one in ordered for address in one.addresses}

    @cached_property
    def endpoints_of(self) -> Mapping[tuple[str | None, str | None], Sequence[AnyEndpoint]]:
        """The endpoints by their namespace and pod."""
        found: dict[tuple[str | None, str | None], list[AnyEndpoint]] = {}
        for endpoint in self.endpoints:
            found.setdefault((endpoint.namespace, endpoint.spec.pod), []).append(endpoint)
        return found

    @cached_property
    def in_use(self) -> Mapping[Address, str]:
        """The addresses of tunnels and pods, each with its user."""
        return {**self.tunnels, **self.workloads}

    @cached_property
    def unmatched_in_use(self) -> Mapping[Address, str]:
        """Those of `in_use` that are not assigned to the pod that has them."""
        return {**self.tunnels, **_titles(self.matching.users)}

    @property
    def in_use_count(self) -> int:
        return len({**self.tunnels, **self.endpoint_of})

    def is_in_use(self, address: Address) -> bool:
        return address in self.endpoint_of or address in self.tunnels

    @cached_property
    def node_names(self) -> frozenset[str]:
        """The nodes that there are, also those whose record cannot be read."""
        return frozenset((*(node.name for node in self.nodes), *self.unread_names(NODE)))

    @cached_property
    def leaks(self) -> Leaks:
        return find_leaks(
            self.blocks, self.handles, self.endpoints, self.nodes, unread=self.unread, matching=self.matching
        )

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many addresses each block holds for each handle: what the handles' records should count."""
        found: dict[str, dict[str, int]] = {}
        for block, those in groupby(self.allocations, attrgetter("block")):
            cidr = str(block)
            for one in those:
                if one.handle and one.handle != WINDOWS_HANDLE:
                    held = found.setdefault(one.handle, {})
                    held[cidr] = held.get(cidr, 0) + 1
        return found

    @cached_property
    def assigned(self) -> frozenset[Address]:
        """What blocks say is assigned, what another plugin has given to pods, and tunnels' addresses beside those."""
        elsewhere = (one.addresses for one in self.endpoints if IPAM in one.annotations)
        firsts = {network[1] for node in self.nodes for network in node.pod_cidrs}
        return frozenset(
            (
                *(one.address for one in self.allocations),
                *chain.from_iterable(elsewhere),
                *firsts.intersection(self.tunnels),
            )
        )

    def unread_of(self, *kind_names: str) -> list[str]:
        """Return a sentence for each record of these kinds that cannot be read."""
        return [record.reason for record in self.unread if record.kind.KIND in kind_names]

    def unread_names(self, kind_name: str) -> frozenset[str]:
        return frozenset(record.name for record in self.unread if kind_name == record.kind.KIND)

    @property
    def active_pools(self) -> list[AnyPool]:
        return [pool for pool in self.pools if not pool.spec.disabled]

    def is_in_a_pool(self, address: Address) -> bool:
        return any(address in pool.network for pool in self.active_pools)


def workload_title(endpoint: AnyEndpoint) -> str:
    return f"Workload({endpoint.namespace}/{endpoint.name})"


def _order(endpoint: AnyEndpoint) -> tuple[str, str, str]:
    """Return the order of endpoints, down to the name: two readings bring them in one order."""
    return (endpoint.namespace or "", endpoint.spec.pod or "", endpoint.name)


def _titles(users: Mapping[Address, AnyEndpoint]) -> dict[Address, str]:
    ordered = sorted(users.items(), key=lambda one: (_order(one[1]), one[0].version, int(one[0])))
    return {address: workload_title(endpoint) for address, endpoint in ordered}


def attributes_text(one: Allocation) -> str:
    """Return handle and attributes as calicoctl prints them."""
    extra = ",".join(f"{key}={one.attributes[key]}" for key in sorted(one.attributes))
    return f"Main:{one.handle or '<none>'} Extra:{extra}"
