"""Which addresses, handles and blocks are leaked, and since when they have looked so.

Pure. One reading proves little: a pod that is being attached has an address and no endpoint yet. So what looks leaked
is suspected from the first reading on, and confirmed only after it has looked so for the whole grace time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from datastore.fields import Address, Network
from datastore.names import workload_endpoint_name
from datastore.plain_claims import NODE, AnyAffinity, AnyNode
from datastore.store import Unreadable
from datastore.summaries import BLOCKS, ENDPOINTS, AnyBlock, AnyEndpoint, AnyHandle
from ipam.block import Allocation, assigned_in, is_empty
from ipam.matching import Matching, match
from ipam.names import WINDOWS_HANDLE, affine_host, cidr_name, parse_pod_handle, written_handle

TUNNEL_TYPE_SUFFIX = "TunnelAddress"
GRACE_SECONDS = 15 * 60


class Leaks(Struct, frozen=True):
    """What is still allocated to pods and nodes that no longer exist."""

    addresses: tuple[Allocation, ...] = ()
    """Assigned to a pod, or to a node's tunnel, that is gone. Each handle is here with all its addresses or none."""
    orphans: frozenset[Address] = frozenset()
    """Those of them whose node is gone as well: nothing can use them again, so they need no grace time."""
    handles: tuple[AnyHandle, ...] = ()
    """They count addresses, but no block holds one for them."""
    blocks: tuple[tuple[str, Network], ...] = ()
    """Claims on them, with their hosts: on empty ones of a host that has another, and what a host that is gone has no
    addresses in.
    """
    gone: frozenset[str] = frozenset()
    """Hosts that are no nodes, and have claims or addresses: their empty blocks need no grace time either."""
    assigned: int = 0
    """How many addresses are assigned, leaked or not."""

    def of_hosts(self, hosts: Collection[str]) -> Leaks:
        """Return what is leaked of these hosts that are gone: only handles that no other host has an address under."""
        others = {one.handle for one in self.addresses if one.attributes.get("node") not in hosts}
        return Leaks(
            tuple(one for one in self.addresses if one.handle not in others),
            self.orphans,
            blocks=tuple(claim for claim in self.blocks if claim[0] in hosts),
            gone=self.gone & frozenset(hosts),
        )


class Collected(Struct, frozen=True):
    """What one round released."""

    addresses: tuple[Allocation, ...] = ()
    handles: tuple[str, ...] = ()
    blocks: tuple[Network, ...] = ()

    @property
    def anything(self) -> bool:
        return bool(self.addresses or self.handles or self.blocks)


def find_leaks(
    blocks: Iterable[AnyBlock],
    handles: Iterable[AnyHandle],
    endpoints: Iterable[AnyEndpoint],
    nodes: Iterable[AnyNode],
    affinities: Iterable[AnyAffinity] = (),
    unread: Iterable[Unreadable] = (),
    matching: Matching | None = None,
) -> Leaks:
    """Return what looks leaked in this reading of the cluster.

    unread: records that are there and cannot be read. What they may stand for is not leaked. matching: what the blocks
    have assigned beside what the endpoints have, by whoever has it.
    An address without namespace and pod is never leaked, unless it is a tunnel's: that is leaked when its node is gone
    and has no other valid address. One that names no node may be of the pod on any.
    """
    blocks, endpoints, affinities, unread = list(blocks), list(endpoints), list(affinities), tuple(unread)
    if matching is None:
        matching = match(assigned_in(blocks), {address: one for one in endpoints for address in one.addresses})
    matched, rest, _ = matching
    names = frozenset((*(node.name for node in nodes), *(one.name for one in unread if one.kind.KIND == NODE)))
    pods = _pods(endpoints, {_pod(owner) for one in rest for owner in (one.attributes, one.alternate)})
    unknown = {(one.namespace, one.name) for one in unread if ENDPOINTS.kind_name == one.kind.KIND}
    used = [one for one in rest if not is_tunnel(one) and (_may_be_used(one, pods) or _may_be_of(one, unknown))]
    of_matched = _nodes(matched)
    living = names | of_matched | _nodes(used)
    tunnels = [one for one in rest if is_tunnel(one) and one.attributes.get("node") in living]
    owners = {one.handle for one in chain(matched, used, tunnels)}
    leaked = tuple(one for one in rest if one.handle not in owners)
    held = owners.union(one.handle for one in rest)
    hosts = of_matched | _nodes(rest)
    hosts |= {affinity.spec.node for affinity in affinities if affinity.spec.type == "host"}
    return Leaks(
        leaked,
        frozenset(one.address for one in leaked if one.attributes.get("node", "") in hosts - names),
        tuple(
            handle
            for handle in handles
            if handle.spec.handle_id not in held
            and written_handle(handle.spec.handle_id) not in held
            and not _counts_in(handle, unread)
        ),
        tuple(idle_blocks(_owners(blocks), _empty(blocks), affinities, names, unread)),
        frozenset(hosts - names),
        len(matched) + len(rest),
    )


class ClusterReading(Struct, frozen=True, dict=True):
    """The records that one round goes by."""

    blocks: Sequence[AnyBlock]
    handles: Sequence[AnyHandle]
    affinities: Sequence[AnyAffinity]
    nodes: Sequence[AnyNode]
    endpoints: Sequence[AnyEndpoint]
    unread: Sequence[Unreadable] = ()

    @cached_property
    def leaks(self) -> Leaks:
        return find_leaks(self.blocks, self.handles, self.endpoints, self.nodes, self.affinities, self.unread)


class Suspect(NamedTuple):
    """A leak's identity: the same address assigned again is another suspect."""

    what: str
    version: str


class Suspects(Struct, frozen=True):
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
            blocks=tuple(claim for claim in leaks.blocks if claim[0] in leaks.gone or _of_block(*claim) in old),
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


Pods = Mapping[tuple[str | None, str | None], list[AnyEndpoint]]


def _pods(endpoints: Iterable[AnyEndpoint], wanted: Collection[tuple[str | None, str | None]]) -> Pods:
    found: dict[tuple[str | None, str | None], list[AnyEndpoint]] = {}
    for endpoint in endpoints if wanted else ():
        pod = (endpoint.namespace, endpoint.spec.pod)
        if pod in wanted:
            found.setdefault(pod, []).append(endpoint)
    return found


def _pod(owner: Mapping[str, str]) -> tuple[str | None, str | None]:
    return owner.get("namespace"), owner.get("pod")


def _nodes(assigned: Iterable[Allocation]) -> set[str]:
    return {one.attributes["node"] for one in assigned if "node" in one.attributes}


def _may_be_used(one: Allocation, pods: Pods) -> bool:
    """True unless the pods of both its owners are gone."""
    owners = (one.attributes, one.alternate) if one.alternate else (one.attributes,)
    return one.handle == WINDOWS_HANDLE or any(_is_there(owner, one.address, pods) for owner in owners)


def _is_there(owner: Mapping[str, str], address: Address, pods: Pods) -> bool:
    """True unless it is a pod that is gone, has other addresses, or has finished.

    An endpoint that names neither an address nor a container is of a pod that is yet to be attached, and may have any.
    One that names its container alone, as of a pod that was evicted or has completed, has given its addresses back.
    """
    if not {"pod", "namespace"} <= owner.keys():
        return True
    for endpoint in pods.get((owner["namespace"], owner["pod"]), ()):
        if owner.get("node", endpoint.spec.node) == endpoint.spec.node:
            addresses = endpoint.addresses
            if address in addresses or not (addresses or endpoint.spec.container_id):
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
    return any(BLOCKS.kind_name == one.kind.KIND and one.name in cidrs for one in unread)


def is_tunnel(one: Allocation) -> bool:
    """Whether it is the address of a node's tunnel."""
    return one.attributes.get("type", "").endswith(TUNNEL_TYPE_SUFFIX)


def _owners(blocks: Iterable[AnyBlock]) -> Mapping[Network, str | None]:
    return {block.network: affine_host(block.spec.affinity) for block in blocks}


def _empty(blocks: Iterable[AnyBlock]) -> Collection[Network]:
    return {block.network for block in blocks if is_empty(block)}


def idle_blocks(
    owners: Mapping[Network, str | None],
    empty: Collection[Network],
    affinities: Iterable[AnyAffinity],
    nodes: frozenset[str],
    unread: Iterable[Unreadable] = (),
) -> Iterable[tuple[str, Network]]:
    """Yield the claims that their hosts do not need. An existing host keeps its first empty block of each family.

    owners: all blocks, each with the host that it belongs to.
    """
    unknown = {one.name for one in unread if BLOCKS.kind_name == one.kind.KIND}
    keeping: set[tuple[str, int]] = {
        (host, cidr.version) for cidr, host in owners.items() if cidr not in empty and host is not None
    }
    for affinity in affinities:
        host, cidr = affinity.spec.node, affinity.network
        if affinity.spec.type != "host" or cidr_name(str(cidr)) in unknown:
            continue
        if host not in nodes:
            if cidr in empty or owners.get(cidr) != host:
                yield host, cidr
        elif cidr in empty and owners[cidr] == host:
            if (host, cidr.version) in keeping:
                yield host, cidr
            else:
                keeping.add((host, cidr.version))
