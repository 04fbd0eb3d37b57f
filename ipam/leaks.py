"""Which addresses, handles and blocks are leaked, and since when they have looked so.

Pure. One reading proves little: a pod that is being attached has an address and no endpoint yet. So what looks leaked
is suspected from the first reading on, and confirmed only after it has looked so for the whole grace time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from datastore.fields import Address, Network
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import workload_endpoint_name
from datastore.store import Unreadable
from datastore.summaries import AnyBlock, AnyEndpoint, AnyHandle
from ipam.block import Allocation, allocations, is_empty
from ipam.names import WINDOWS_HANDLE, affine_host, cidr_name, parse_pod_handle, written_handle

TUNNEL_TYPE_SUFFIX = "TunnelAddress"


@dataclass(frozen=True, slots=True)
class Leaks:
    """What is still allocated to pods and nodes that no longer exist."""

    addresses: tuple[Allocation, ...] = ()
    """Assigned to a pod, or to a node's tunnel, that is gone. Each handle is here with all its addresses or none."""
    orphans: frozenset[Address] = frozenset()
    """Those of them whose node is gone as well: nothing can use them again, so they need no grace time."""
    handles: tuple[AnyHandle, ...] = ()
    """They count addresses, but no block holds one for them."""
    blocks: tuple[tuple[str, Network], ...] = ()
    """Empty ones, with their hosts: of a host that has another, or that is gone."""


def find_leaks(
    blocks: Iterable[AnyBlock],
    handles: Iterable[AnyHandle],
    endpoints: Iterable[AnyEndpoint],
    nodes: Iterable[Node],
    affinities: Iterable[BlockAffinity] = (),
    unread: Iterable[Unreadable] = (),
) -> Leaks:
    """Return what looks leaked in this reading of the cluster.

    unread: records that are there and cannot be read. What they may stand for is not leaked.
    An address without namespace and pod is never leaked, unless it is a tunnel's: that is leaked when its node is gone
    and has no other valid address.
    """
    blocks, unread = list(blocks), tuple(unread)
    names = frozenset((*(node.name for node in nodes), *(one.name for one in unread if one.kind is Node)))
    assigned = [one for block in blocks for one in allocations(block) if not one.released]
    pods, unknown = _pods(endpoints), {(one.namespace, one.name) for one in unread if one.kind is WorkloadEndpoint}
    used = [one for one in assigned if not _is_tunnel(one) and (_may_be_used(one, pods) or _may_be_of(one, unknown))]
    living = names | {one.attributes["node"] for one in used if "node" in one.attributes}
    tunnels = [one for one in assigned if _is_tunnel(one) and one.attributes.get("node") in living]
    owners = {one.handle for one in (*used, *tunnels)}
    leaked = tuple(one for one in assigned if one.handle not in owners)
    held = {one.handle for one in assigned}
    return Leaks(
        leaked,
        frozenset(one.address for one in leaked if one.attributes.get("node") not in names),
        tuple(
            handle
            for handle in handles
            if written_handle(handle.spec.handle_id) not in held and not _counts_in(handle, unread)
        ),
        tuple(_idle_blocks(blocks, affinities, names)),
    )


class Suspect(NamedTuple):
    """A leak's identity: the same address assigned again is another suspect."""

    what: str
    version: str


@dataclass(frozen=True, slots=True)
class Suspects:
    """What has looked leaked in every reading since, each with the time of the first."""

    since_ns: Mapping[Suspect, int] = field(default_factory=dict)

    def update(self, leaks: Leaks, now_ns: int, grace_ns: int) -> tuple[Suspects, Leaks]:
        """Return the suspects after another reading, and the confirmed leaks: old enough, or of a node that is gone.

        A handle's addresses are confirmed together.
        """
        since = {suspect: self.since_ns.get(suspect, now_ns) for suspect in _suspects(leaks)}
        old = {suspect for suspect, first in since.items() if now_ns - first >= grace_ns}
        young = {
            one.handle for one in leaks.addresses if _of_address(one) not in old and one.address not in leaks.orphans
        }
        confirmed = replace(
            leaks,
            addresses=tuple(one for one in leaks.addresses if one.handle not in young),
            handles=tuple(handle for handle in leaks.handles if _of_handle(handle) in old),
            blocks=tuple(claim for claim in leaks.blocks if _of_block(*claim) in old),
        )
        return Suspects(since), confirmed


def _suspects(leaks: Leaks) -> Iterable[Suspect]:
    yield from map(_of_address, leaks.addresses)
    yield from map(_of_handle, leaks.handles)
    yield from (_of_block(host, cidr) for host, cidr in leaks.blocks)


def _of_address(one: Allocation) -> Suspect:
    return Suspect(f"address {one.address} of {one.handle}", str(one.sequence))


def _of_handle(handle: AnyHandle) -> Suspect:
    return Suspect(f"handle {handle.name}", handle.revision or "")


def _of_block(host: str, cidr: Network) -> Suspect:
    return Suspect(f"block {cidr} of {host}", "")


Pods = Mapping[tuple[str | None, str | None, str], list[AnyEndpoint]]


def _pods(endpoints: Iterable[AnyEndpoint]) -> Pods:
    found: dict[tuple[str | None, str | None, str], list[AnyEndpoint]] = {}
    for endpoint in endpoints:
        found.setdefault((endpoint.namespace, endpoint.spec.pod, endpoint.spec.node), []).append(endpoint)
    return found


def _may_be_used(one: Allocation, pods: Pods) -> bool:
    """True unless the pod is gone. An endpoint that names no address yet may have any."""
    if one.handle == WINDOWS_HANDLE or not {"pod", "namespace"} <= one.attributes.keys():
        return True
    pod = (one.attributes["namespace"], one.attributes["pod"], one.attributes.get("node", ""))
    for endpoint in pods.get(pod, ()):
        addresses = endpoint.addresses
        if not addresses or one.address in addresses:
            return True
    return False


def _may_be_of(one: Allocation, unknown: Collection[tuple[str | None, str]]) -> bool:
    """Whether one of these endpoints, whose records cannot be read, may be the pod's."""
    if not unknown:
        return False
    namespace, pod, node = (one.attributes.get(key, "") for key in ("namespace", "pod", "node"))
    device = parse_pod_handle(one.handle or "")[2]
    named = namespace, workload_endpoint_name(node, pod, endpoint=device)
    return named in unknown or any(where == namespace and "-k8s-" not in name for where, name in unknown)


def _counts_in(handle: AnyHandle, unread: Iterable[Unreadable]) -> bool:
    """Whether a handle counts addresses in a block that cannot be read."""
    cidrs = {cidr_name(cidr) for cidr in handle.spec.block}
    return any(one.kind is IPAMBlock and one.name in cidrs for one in unread)


def _is_tunnel(one: Allocation) -> bool:
    return one.attributes.get("type", "").endswith(TUNNEL_TYPE_SUFFIX)


def _idle_blocks(
    blocks: Iterable[AnyBlock], affinities: Iterable[BlockAffinity], nodes: frozenset[str]
) -> Iterable[tuple[str, Network]]:
    """Yield empty blocks that their hosts do not need. An existing host keeps its first one of each family."""
    empty = {block.network: affine_host(block.spec.affinity) for block in blocks if is_empty(block)}
    keeping: set[tuple[str, int]] = {
        (host, block.network.version)
        for block in blocks
        if block.network not in empty and (host := affine_host(block.spec.affinity))
    }
    for affinity in affinities:
        host, cidr = affinity.spec.node, affinity.network
        if affinity.spec.type != "host" or empty.get(cidr) != host:
            continue
        if host in nodes and (host, cidr.version) not in keeping:
            keeping.add((host, cidr.version))
        else:
            yield host, cidr
