"""What must always hold, as predicates over what one node knows: records, routes wanted, routes held.

Pure. Each predicate yields a sentence for each thing that is wrong. They are run by the tests, by the lab after every
scenario, and by the agent at a low rate; whoever runs them sees to it that nothing is in flight, or looks twice
(`persisting`). A node judges what it takes part in: a conflict between two nodes is found by the one that is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from msgspec import Struct, field

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from felix_py.routes.fib import Ownership
from felix_py.routes.rib import Rib, Source
from felix_py.snapshot import Endpoint
from ipam.block import Allocation, allocations
from ipam.names import affine_host
from kernel.route import BLACKHOLE, RouteSpec
from net.prefix import Prefix


class Violation(NamedTuple):
    number: int
    text: str


class NodeRecords(Struct, frozen=True):
    """What the datastore has of one node.

    endpoints: its pods. blocks: its own, and those that it has borrowed an address from. affinities: its own.
    pod_cidrs: the blocks that Kubernetes gave it, where they are used. leaving: handles whose release is to come soon.
    endpoints_known: whether each of its endpoints could be read; while one could not, what seems to belong to none may
    be its. blocks_known: whether any block could be read; unknown: blocks
    that could not, and addresses of no known block.
    """

    endpoints: Sequence[Endpoint] = ()
    blocks: Sequence[IPAMBlock] = ()
    affinities: Sequence[BlockAffinity] = ()
    node: Node | None = None
    pod_cidrs: Sequence[Prefix] = ()
    leaving: frozenset[str] = frozenset()
    endpoints_known: bool = True
    blocks_known: bool = True
    unknown: frozenset[Prefix] = frozenset()

    def knows(self, prefix: Prefix) -> bool:
        """Whether it can be said what is allocated of a block or an address."""
        return self.blocks_known and not any(one.contains(prefix) for one in self.unknown)


class Local(Struct, frozen=True):
    """What one node wants, holds and announces.

    held: our routes, freshly read from the kernel: all of them or, with `looked_at`, those of these prefixes and any
    others that may be wrong.
    """

    node: str
    rib: Rib
    held: Mapping[Prefix, RouteSpec]
    devices: Mapping[str, int]
    announced: frozenset[Prefix]
    exportable: frozenset[Prefix]  # what may be announced: confirmed blocks and borrowed addresses of exported pools
    foreign_touched: Sequence[str] = ()  # foreign routes that a write of ours hit
    ownership: Ownership = field(default_factory=Ownership)
    looked_at: AbstractSet[Prefix] | None = None

    def is_looked_at(self, prefix: Prefix) -> bool:
        return self.looked_at is None or prefix in self.looked_at


def one_owner_an_address(records: NodeRecords, local: Local) -> Iterator[str]:
    owners: dict[Prefix, list[Endpoint]] = defaultdict(list)
    for endpoint in records.endpoints:
        for address in endpoint.addresses:
            owners[address].append(endpoint)
    allocated = _allocations(records.blocks)
    for address, endpoints in owners.items():
        if len(endpoints) > 1:
            yield f"address {address} has {len(endpoints)} owners: {', '.join(map(_title, endpoints))}"
        elif address in allocated and _container_of(allocated[address]) != endpoints[0].container_id:
            yield f"address {address} of {_title(endpoints[0])} is allocated to {allocated[address].handle}"


def allocations_match_owners(records: NodeRecords, local: Local) -> Iterator[str]:
    allocated = _allocations(records.blocks)
    for endpoint in records.endpoints:
        for address in () if endpoint.given_by else endpoint.addresses:
            if address not in allocated and records.knows(address):
                yield f"address {address} of {_title(endpoint)} is not allocated in any block"
    annotations = records.node.metadata.annotations if records.node else {}
    tunnels = {text for key, text in annotations.items() if "TunnelAddr" in key}
    containers = {endpoint.container_id for endpoint in records.endpoints}
    for address, found in allocated.items():
        owner = found.attributes
        if owner.get("node", local.node) != local.node:
            continue
        if owner.get("type", "").endswith("TunnelAddress") and address.address not in tunnels:
            yield f"address {address} is allocated to {found.handle}, but the Node does not note it as its tunnel's"
        if not records.endpoints_known or found.handle in records.leaving:
            continue
        if "pod" in owner and _container_of(found) not in containers:
            yield f"address {address} is allocated to {found.handle} (pod {owner['pod']}), which no endpoint has"


def one_confirmed_affinity_a_block(records: NodeRecords, local: Local) -> Iterator[str]:
    affine = {block.spec.cidr: affine_host(block.spec.affinity) for block in records.blocks if not block.deleted}
    own = {one.spec.cidr for one in records.affinities if one.confirmed and not one.deleted}
    for cidr in own:
        if affine.get(cidr) != local.node and records.knows(Prefix.parse(cidr)):
            owner = affine.get(cidr) or "no node or another"
            yield f"block {cidr} is confirmed for {local.node}, but its record names {owner}"
    prefixes = {*map(Prefix.parse, own), *records.pod_cidrs}
    for prefix, spec in local.held.items():
        if spec.kind == BLACKHOLE and prefix not in prefixes:
            yield f"blackhole {prefix} is no confirmed block of {local.node}"


def pod_routes_match_endpoints(records: NodeRecords, local: Local) -> Iterator[str]:
    wanted = {address: endpoint for endpoint in records.endpoints for address in endpoint.addresses}
    for prefix, endpoint in wanted.items():
        if not local.is_looked_at(prefix):
            continue
        spec = local.held.get(prefix)
        if spec is None:
            yield f"{_title(endpoint)} has no route for {prefix} in the kernel"
        elif [hop.device for hop in spec.hops] != [local.devices.get(endpoint.device)]:
            yield f"the route {prefix} of {_title(endpoint)} is not by its device {endpoint.device}"
    others = local.rib.wanted(Source.TUNNELS).keys() | local.rib.wanted(Source.STATIC).keys()
    for prefix, spec in local.held.items() if records.endpoints_known else ():
        if _is_of_pod(prefix, spec, local) and prefix not in wanted and prefix not in others:
            yield f"the kernel holds {prefix} as a pod's, but no endpoint of {local.node} has it"


def _is_of_pod(prefix: Prefix, spec: RouteSpec, local: Local) -> bool:
    return spec.protocol == local.ownership.local and spec.kind != BLACKHOLE and prefix.is_host


def kernel_holds_the_best(records: NodeRecords, local: Local) -> Iterator[str]:
    looked_at = local.rib.prefixes() if local.looked_at is None else local.looked_at
    for prefix in looked_at | local.held.keys():
        best, held = local.rib.best(prefix), local.held.get(prefix)
        if held and best is None and not records.endpoints_known and _is_of_pod(prefix, held, local):
            continue  # of the endpoint that cannot be read, perhaps
        if best != held:
            yield f"route {prefix}: the kernel {'holds another' if held and best else 'has it' if held else 'lacks it'}"


def announcements_are_ours(records: NodeRecords, local: Local) -> Iterator[str]:
    for prefix in local.announced - local.exportable:
        yield f"{prefix} is announced, but is neither a confirmed block of {local.node} nor borrowed by it"
    for prefix in local.exportable - local.announced:
        yield f"{prefix} should be announced by {local.node} and is not"


def no_blackhole_swallows_a_pod(records: NodeRecords, local: Local) -> Iterator[str]:
    for endpoint in records.endpoints:
        for address in endpoint.addresses:
            spec = local.held.get(address)
            if spec is not None and spec.kind == BLACKHOLE:
                yield f"{address} of {_title(endpoint)} is a blackhole on {local.node}"


def foreign_routes_are_untouched(records: NodeRecords, local: Local) -> Iterator[str]:
    yield from local.foreign_touched


INVARIANTS: tuple[Callable[[NodeRecords, Local], Iterable[str]], ...] = (
    one_owner_an_address,
    allocations_match_owners,
    one_confirmed_affinity_a_block,
    pod_routes_match_endpoints,
    kernel_holds_the_best,
    announcements_are_ours,
    no_blackhole_swallows_a_pod,
    foreign_routes_are_untouched,
)


def violations(records: NodeRecords, local: Local) -> list[Violation]:
    """Return everything that is wrong, numbered from 1 in the order of `INVARIANTS`."""
    return list(looking(records, local))


def looking(records: NodeRecords, local: Local) -> Iterator[Violation]:
    """Yield everything that is wrong. What an unforeseen record keeps from being checked is wrong too."""
    for number, predicate in enumerate(INVARIANTS, 1):
        try:
            for text in predicate(records, local):
                yield Violation(number, text)
        except Exception as failure:
            yield Violation(number, f"it cannot be checked ({type(failure).__name__}: {failure})")


def persisting(first: Iterable[Violation], second: Iterable[Violation]) -> list[Violation]:
    """Return what was wrong both times: a request in flight is over by the second look."""
    return sorted(set(first) & set(second))


def _allocations(blocks: Iterable[IPAMBlock]) -> dict[Prefix, Allocation]:
    """Return each address in use, as a /32 or /128. What a broken record has beyond its block is none."""
    return {Prefix.host(one.address.packed): one for block in blocks for one in allocations(block)}


def _container_of(allocation: Allocation) -> str:
    """Return the container that an attachment's handle ends in."""
    return (allocation.handle or "").rpartition(".")[2]


def _title(endpoint: Endpoint) -> str:
    return f"pod {endpoint.key.namespace}/{endpoint.pod or endpoint.key.name}"
