"""What must always hold, as predicates over one picture of cluster, node and kernel.

Pure. Each predicate yields a sentence for each thing that is wrong. They are run by the tests, by the lab after
every scenario, and by the agent at a low rate; whoever runs them sees to it that nothing is in flight, or looks
twice (`persisting`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface, ip_network
from typing import NamedTuple

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from felix_py.fib import Ownership
from felix_py.rib import Rib, Source
from ipam.names import affine_host
from kernel.route import BLACKHOLE, RouteSpec
from net.prefix import Prefix


class Violation(NamedTuple):
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the datastore says, all nodes of it."""

    endpoints: Sequence[WorkloadEndpoint] = ()
    blocks: Sequence[IPAMBlock] = ()
    affinities: Sequence[BlockAffinity] = ()
    nodes: Sequence[Node] = ()
    leaving: frozenset[str] = frozenset()  # handles whose release is journaled: on their way out


@dataclass(frozen=True, slots=True)
class Local:
    """What one node wants, holds and says."""

    node: str
    rib: Rib
    held: Mapping[Prefix, RouteSpec]  # ours, freshly read from the kernel
    devices: Mapping[str, int]
    announced: frozenset[Prefix]
    exportable: frozenset[Prefix]  # what may be announced: confirmed blocks and borrowed addresses of exported pools
    foreign_touched: Sequence[str] = field(default=())  # foreign routes that a write of ours hit
    ownership: Ownership = field(default_factory=Ownership)


def one_owner_an_address(cluster: Cluster, local: Local) -> Iterator[str]:
    owners: dict[str, list[str]] = defaultdict(list)
    for endpoint in cluster.endpoints:
        for network in endpoint.spec.ip_networks:
            owners[network].append(_title(endpoint))
    for network, titles in owners.items():
        if len(titles) > 1:
            yield f"address {network} has {len(titles)} owners: {', '.join(titles)}"


def allocations_match_owners(cluster: Cluster, local: Local) -> Iterator[str]:
    allocated = {address: (handle, secondary) for address, handle, secondary in _allocations(cluster.blocks)}
    used = {str(ip_interface(n).ip): e for e in cluster.endpoints for n in e.spec.ip_networks}
    for address, endpoint in used.items():
        if address not in allocated:
            yield f"address {address} of {_title(endpoint)} is not allocated in any block"
    tunnels = {text for node in cluster.nodes for key, text in node.metadata.annotations.items() if "TunnelAddr" in key}
    containers = {endpoint.spec.container_id for endpoint in cluster.endpoints}
    for address, (handle, secondary) in allocated.items():
        of_pod, of_tunnel = "pod" in secondary, secondary.get("type", "").endswith("TunnelAddress")
        if of_tunnel and address not in tunnels:
            yield f"address {address} is allocated to {handle}, but no node has it as its tunnel's"
        if of_pod and handle.rpartition(".")[2] not in containers and handle not in cluster.leaving:
            yield f"address {address} is allocated to {handle} (pod {secondary['pod']}), which no endpoint has"


def one_confirmed_affinity_a_block(cluster: Cluster, local: Local) -> Iterator[str]:
    affine = {block.spec.cidr: affine_host(block.spec.affinity) for block in cluster.blocks if not block.spec.deleted}
    confirmed: dict[str, list[str]] = defaultdict(list)
    for affinity in cluster.affinities:
        if affinity.spec.state in ("confirmed", "") and affinity.spec.deleted != "true":
            confirmed[affinity.spec.cidr].append(affinity.spec.node)
    for cidr, nodes in confirmed.items():
        if len(nodes) > 1:
            yield f"block {cidr} is confirmed for {len(nodes)} nodes: {', '.join(nodes)}"
        elif affine.get(cidr) != nodes[0]:
            yield f"block {cidr} is confirmed for {nodes[0]}, but says it is {affine.get(cidr) or 'nobody'}'s"
    own = {Prefix.parse(cidr) for cidr, nodes in confirmed.items() if local.node in nodes}
    for prefix, path in local.held.items():
        if path.kind == BLACKHOLE and prefix not in own:
            yield f"blackhole {prefix} is no confirmed block of {local.node}"


def pod_routes_match_endpoints(cluster: Cluster, local: Local) -> Iterator[str]:
    wanted: dict[Prefix, WorkloadEndpoint] = {
        Prefix.parse(network): endpoint
        for endpoint in cluster.endpoints
        if endpoint.spec.node == local.node
        for network in endpoint.spec.ip_networks
    }
    for prefix, endpoint in wanted.items():
        path = local.held.get(prefix)
        device = local.devices.get(endpoint.spec.interface_name or "")
        if path is None:
            yield f"{_title(endpoint)} has no route for {prefix} in the kernel"
        elif [hop.device for hop in path.hops] != [device]:
            yield f"the route {prefix} of {_title(endpoint)} is not by its device {endpoint.spec.interface_name}"
    tunnels = local.rib.wanted(Source.TUNNELS)
    for prefix, path in local.held.items():
        of_pod = path.protocol == local.ownership.local and path.kind != BLACKHOLE and prefix.is_host
        if of_pod and prefix not in wanted and prefix not in tunnels:
            yield f"the kernel holds {prefix} as a pod's, but no endpoint of {local.node} has it"


def kernel_holds_the_best(cluster: Cluster, local: Local) -> Iterator[str]:
    for prefix in local.rib.prefixes() | local.held.keys():
        best, held = local.rib.best(prefix), local.held.get(prefix)
        if best != held:
            yield f"route {prefix}: the kernel {'holds another' if held and best else 'has it' if held else 'lacks it'}"


def announcements_are_ours(cluster: Cluster, local: Local) -> Iterator[str]:
    for prefix in local.announced - local.exportable:
        yield f"{prefix} is announced, but is neither a confirmed block of {local.node} nor borrowed by it"
    for prefix in local.exportable - local.announced:
        yield f"{prefix} should be announced by {local.node} and is not"


def no_blackhole_swallows_a_pod(cluster: Cluster, local: Local) -> Iterator[str]:
    for endpoint in cluster.endpoints:
        for network in endpoint.spec.ip_networks:
            path = local.held.get(Prefix.parse(network))
            if path is not None and path.kind == BLACKHOLE:
                yield f"{network} of {_title(endpoint)} is a blackhole on {local.node}"


def foreign_routes_are_untouched(cluster: Cluster, local: Local) -> Iterator[str]:
    yield from local.foreign_touched


INVARIANTS: tuple[Callable[[Cluster, Local], Iterable[str]], ...] = (
    one_owner_an_address,
    allocations_match_owners,
    one_confirmed_affinity_a_block,
    pod_routes_match_endpoints,
    kernel_holds_the_best,
    announcements_are_ours,
    no_blackhole_swallows_a_pod,
    foreign_routes_are_untouched,
)


def violations(cluster: Cluster, local: Local) -> list[Violation]:
    """Return everything that is wrong, numbered as in the architecture."""
    return [
        Violation(number, text) for number, predicate in enumerate(INVARIANTS, 1) for text in predicate(cluster, local)
    ]


def persisting(first: Iterable[Violation], second: Iterable[Violation]) -> list[Violation]:
    """Return what was wrong both times: a request in flight is over by the second look."""
    return sorted(set(first) & set(second))


def _allocations(blocks: Iterable[IPAMBlock]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Yield each allocated address with its handle and the attributes of its owner."""
    for block in blocks:
        base = ip_network(block.spec.cidr)[0]
        for ordinal, index in enumerate(block.spec.allocations):
            if index is not None:
                attribute = block.spec.attributes[index]
                yield str(base + ordinal), attribute.handle_id or "", attribute.secondary or {}


def _title(endpoint: WorkloadEndpoint) -> str:
    return f"pod {endpoint.metadata.namespace}/{endpoint.spec.pod or endpoint.metadata.name}"
