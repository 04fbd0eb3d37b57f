"""The report of `ipam check`: what IPAM's records say, what is really used, and where the two differ.

Pure. A problem is a sentence; each kind of problem has its own count, in calicoctl's order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import get_args

from datastore.fields import Address
from datastore.resources import IPAMBlock, IPAMHandle, IPPool, Node, TunnelKind, WorkloadEndpoint
from ipam.block import Allocation, allocations, faults
from ipam.leaks import Leaks, find_leaks
from ipam.names import WINDOWS_HANDLE, handle_name

BUSIEST_NODES = 20


@dataclass(frozen=True)
class Records:
    """Everything that the check compares, as it was read."""

    blocks: Sequence[IPAMBlock]
    pools: Sequence[IPPool]
    nodes: Sequence[Node]
    endpoints: Sequence[WorkloadEndpoint]
    handles: Sequence[IPAMHandle]

    @cached_property
    def allocations(self) -> tuple[Allocation, ...]:
        """The addresses that belong to somebody, block by block; those that rest after a release do not."""
        return tuple(one for block in self.blocks for one in allocations(block) if not one.released)

    @cached_property
    def tunnels(self) -> Mapping[Address, str]:
        """The addresses of tunnels, each with the node that has it."""
        return {
            address: f"Node({node.name})"
            for node in self.nodes
            for kind in get_args(TunnelKind)
            if (address := node.tunnel_address(kind)) is not None
        }

    @cached_property
    def workloads(self) -> Mapping[Address, str]:
        """The addresses of pods, each with the endpoint that has it."""
        return {
            address: f"Workload({endpoint.namespace}/{endpoint.name})"
            for endpoint in sorted(self.endpoints, key=_namespace_and_pod)
            for address in endpoint.addresses
        }

    @cached_property
    def in_use(self) -> Mapping[Address, str]:
        return {**self.tunnels, **self.workloads}

    @property
    def active_pools(self) -> list[IPPool]:
        return [pool for pool in self.pools if not pool.spec.disabled]

    def is_in_a_pool(self, address: Address) -> bool:
        return any(address in pool.network for pool in self.active_pools)


def _namespace_and_pod(endpoint: WorkloadEndpoint) -> tuple[str, str]:
    return (endpoint.namespace or "", endpoint.spec.pod or "")


@dataclass(frozen=True)
class Problems:
    """What is wrong, a sentence each, by kind."""

    unused: tuple[str, ...]
    """Assigned, and nobody uses it."""
    outside: tuple[str, ...]
    """Used, and in no active pool."""
    unassigned: tuple[str, ...]
    """Used and in a pool, and IPAM would give it to somebody else."""
    idle_handles: tuple[str, ...]
    """Handles that own no address."""
    lost_handles: tuple[str, ...]
    """Addresses whose handle is missing, so that nobody can release them by it."""
    broken_blocks: tuple[str, ...]
    """Blocks whose record contradicts itself."""
    shared: tuple[str, ...]
    """Addresses that two endpoints have."""

    @property
    def count(self) -> int:
        return sum(map(len, vars(self).values()))

    def standing(self, later: Problems) -> Problems:
        """Return what a second look found, too: a pod that was just coming or going is no problem."""
        pairs = {kind: (first, getattr(later, kind)) for kind, first in vars(self).items()}
        return Problems(**{kind: tuple(s for s in second if s in first) for kind, (first, second) in pairs.items()})


def problems(records: Records) -> Problems:
    """Return everything that does not agree."""
    leaks = find_leaks(records.blocks, records.handles, records.endpoints, records.nodes)
    assigned = {one.address for one in records.allocations}
    owned = Counter(one.handle for one in records.allocations if one.handle)
    names = {handle.name for handle in records.handles}
    missing = {handle: count for handle, count in owned.items() if handle_name(handle) not in names}
    return Problems(
        unused=tuple(_unused(records, leaks)),
        outside=tuple(
            f"{address} of {owner} lies in no active pool"
            for address, owner in records.in_use.items()
            if address not in assigned and not records.is_in_a_pool(address)
        ),
        unassigned=tuple(
            f"{address} of {owner} is not assigned to it: another pod may be given the same address"
            for address, owner in records.in_use.items()
            if address not in assigned and records.is_in_a_pool(address)
        ),
        idle_handles=tuple(f"handle {handle.spec.handle_id} owns no address" for handle in leaks.handles),
        lost_handles=tuple(f"handle {handle} of {count} addresses is missing" for handle, count in missing.items()),
        broken_blocks=tuple(f"block {b.spec.cidr}: {fault}" for b in records.blocks for fault in faults(b)),
        shared=tuple(_shared(records.endpoints)),
    )


def _unused(records: Records, leaks: Leaks) -> Iterator[str]:
    """Yield the addresses that nobody uses, and who will free them: the agents free what a pod or node left."""
    collected = {one.address for one in leaks.addresses}
    for one in records.allocations:
        if one.address not in records.in_use and one.handle != WINDOWS_HANDLE:
            fate = "the agents free it" if one.address in collected else "felixctl ipam release frees it"
            yield f"{one.address} is assigned to {one.handle or 'nobody'}, and nobody uses it: {fate} ({_noted(one)})"


def _shared(endpoints: Iterable[WorkloadEndpoint]) -> Iterator[str]:
    owners: dict[Address, str] = {}
    for endpoint in endpoints:
        name = f"{endpoint.namespace}/{endpoint.name}"
        for address in endpoint.addresses:
            if owners.setdefault(address, name) != name:
                yield f"{address} belongs to two endpoints, {owners[address]} and {name}"


def report(records: Records, found: Problems, *, all_addresses: bool = False) -> str:
    """Return the report in calicoctl's words, so that what reads those reads ours; problems are always listed."""
    return "".join(f"{line}\n" for line in _lines(records, found, all_addresses))


def _lines(records: Records, found: Problems, everything: bool) -> Iterator[str]:
    yield from ("Checking IPAM for inconsistencies...", "", "Loading all IPAM blocks...")
    yield f"Found {len(records.blocks)} IPAM blocks."
    for block in records.blocks:
        yield f" IPAM block {block.spec.cidr} affinity={block.spec.affinity or '<none>'}:"
        if everything:
            yield from (f"  {one.address} allocated; attrs {_noted(one)}" for one in allocations(block))
    yield f"IPAM blocks record {len(records.allocations)} allocations."
    yield from ("", "Loading all IPAM pools...")
    yield from (f"  {pool.spec.cidr}" for pool in records.active_pools)
    yield f"Found {len(records.active_pools)} active IP pools."
    yield from ("", "Loading all nodes.")
    yield from _owners(records.tunnels, everything)
    yield f"Found {len(records.tunnels)} node tunnel IPs."
    yield from ("", "Loading all service load balancer IPs.", "Found 0 service load balancer(s).")
    yield from ("", "Loading all workload endpoints.")
    yield from _owners(records.workloads, everything)
    yield f"Found {len(records.workloads)} workload IPs."
    yield f"Workloads and nodes are using {len(records.in_use)} IPs."
    yield from ("", "Loading all handles")
    yield from _busiest(records.allocations)
    yield from _findings(records, found)


def _owners(owners: Mapping[Address, str], everything: bool) -> Iterator[str]:
    if everything:
        yield from (f"  {address} belongs to {owner}" for address, owner in owners.items())


def _noted(one: Allocation) -> str:
    extra = ",".join(f"{key}={one.attributes[key]}" for key in sorted(one.attributes))
    return f"Main:{one.handle or '<none>'} Extra:{extra}"


def _busiest(found: Iterable[Allocation]) -> Iterator[str]:
    yield f"Looking for top (up to {BUSIEST_NODES}) nodes by allocations..."
    by_node = Counter(one.attributes["node"] for one in found if "node" in one.attributes)
    if by_node:
        busiest = sorted(by_node.items(), key=lambda entry: (-entry[1], entry[0]))
        yield from (f"  {node} has {count} allocations" for node, count in busiest[:BUSIEST_NODES])
        yield f"Node with most allocations has {busiest[0][1]}; median is {median(by_node.values()):.0f}"


def _findings(records: Records, found: Problems) -> Iterator[str]:
    yield from ("", "Scanning for IPs that are allocated but not actually in use...")
    yield from _listed(found.unused)
    yield f"Found {len(found.unused)} IPs that are allocated in IPAM but not actually in use."
    yield "Scanning for IPs that are in use by a workload or node but not allocated in IPAM..."
    yield from _listed(found.outside)
    yield f"Found {len(found.outside)} in-use IPs that are not in active IP pools."
    yield from _listed(found.unassigned)
    unassigned = len(found.unassigned)
    yield f"Found {unassigned} in-use IPs that are in active IP pools but have no corresponding IPAM allocation."
    yield from ("", "Scanning for IPAM handles with no matching IPs...")
    yield from _listed(found.idle_handles)
    matching = len(records.handles) - len(found.idle_handles)
    yield f"Found {len(found.idle_handles)} handles with no matching IPs (and {matching} handles with matches)."
    yield "Scanning for IPs with missing handle..."
    yield from _listed(found.lost_handles)
    yield f"Found {len(found.lost_handles)} handles mentioned in blocks with no matching handle resource."
    for kind, sentences in (("blocks that contradict themselves", found.broken_blocks), ("shared IPs", found.shared)):
        if sentences:
            yield from _listed(sentences)
            yield f"Found {len(sentences)} {kind}."
    yield f"Check complete; found {found.count} problems."


def _listed(sentences: Iterable[str]) -> Iterator[str]:
    return (f"  {sentence}" for sentence in sentences)
