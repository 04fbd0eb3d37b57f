"""What `ipam check --fix` does about which problem, and the records as they should be.

Pure. Only repairs that cannot take an address from a pod that uses it, or is about to, are planned. Each is carried
out by compare-and-swap (`felixctl.ipam.repair_apply`), so a record that changed meanwhile is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from datastore.fields import Address, Network
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import NETWORK
from datastore.store import Create, Delete, Update, Write
from datastore.summaries import AnyBlock, AnyEndpoint, AnyHandle
from felixctl.ipam.lost_endpoints import Holdings, lost_endpoints, without_lost
from felixctl.ipam.problems import claim_faults, lost_handles, miscounted, unassigned, unclaimed, unused
from felixctl.ipam.records import IpamRecords
from ipam.batch import Release
from ipam.block import Allocation, address_of, allocations, faults, with_next_sequence
from ipam.names import affine_host, affinity_labels, affinity_name, cidr_name, claim_time_ns, handle_name, pod_handle

USUAL_NETWORK = "k8s-pod-network"
ENDPOINT_DELAY_SECONDS = 5 * 60
"""An address assigned more recently may be that of a pod whose endpoint is not written yet."""


class ReleaseAddress(Struct, frozen=True):
    """Release an address, if it is still assigned as it was."""

    release: Release


class AssignAddress(Struct, frozen=True):
    """Assign an address to the pod that uses it, if it is unassigned."""

    address: Address
    node: str
    handle: str
    attributes: Mapping[str, str]


class RecountHandle(Struct, frozen=True):
    """Make a handle's record count what blocks hold for it: the blocks it names, and these."""

    handle: str
    blocks: frozenset[str] = frozenset()


class RewriteBlock(Struct, frozen=True):
    """Rewrite a block's record so that its fields agree with each other."""

    cidr: Network


class CompleteClaim(Struct, frozen=True):
    """Finish a claim that was interrupted, or drop it if the block is another node's."""

    affinity: BlockAffinity


class LabelAffinity(Struct, frozen=True):
    """Give an affinity the labels that it is listed by."""

    affinity: BlockAffinity


class WriteAffinity(Struct, frozen=True):
    """Write the affinity that a block's record names."""

    host: str
    cidr: Network


class ReleaseBlock(Struct, frozen=True):
    """Release a block that is empty or does not exist."""

    host: str
    cidr: Network


class DeleteEndpoint(Struct, frozen=True):
    """Delete the endpoint of a pod that is gone, if it is still as it was read."""

    endpoint: AnyEndpoint


Action: TypeAlias = (
    DeleteEndpoint
    | ReleaseAddress
    | AssignAddress
    | RecountHandle
    | RewriteBlock
    | CompleteClaim
    | LabelAffinity
    | WriteAffinity
    | ReleaseBlock
)


class Repair(Struct, frozen=True):
    """One step of the plan, and the sentence that is shown for it."""

    sentence: str
    action: Action


def planned(records: IpamRecords, now_ns: int) -> list[Repair]:
    """Return the repairs that are safe, in the order in which they build on each other.

    There are none while an endpoint can't be read: the addresses that its pod uses look unused. Any other record that
    can't be read holds up only what depends on it.
    """
    if records.unread_of(WorkloadEndpoint.KIND):
        return []
    blocks_are_known = not records.unread_of(IPAMBlock.KIND)
    rest = without_lost(records)
    lost = list(lost_endpoints(records))
    leaked = list(_releasable(rest, now_ns, {address for one in lost for address in one.endpoint.addresses}))
    freed = {one.address for one in leaked}
    return [
        *(_deletion(one.endpoint) for one in lost),
        *_of_blocks(rest),
        *map(_release, leaked),
        *_of_affinities(rest, freed),
        *(_of_unassigned(rest) if blocks_are_known else ()),
        *(_of_handles(rest) if blocks_are_known else ()),
    ]


def of_node(node: str, records: IpamRecords) -> list[Repair]:
    """Return what gives back everything of a node that is gone: its endpoints, addresses and blocks.

    What it can't be known not to be another's stays: addresses without a pod and of no tunnel, and a block while
    addresses in it are in use.
    """
    held = Holdings(node, records)
    rest = replace(
        records,
        endpoints=[one for one in records.endpoints if one.spec.node != node],
        nodes=[one for one in records.nodes if one.name != node],
    )
    mine = {one.address for one in held.addresses} - rest.in_use.keys()
    leaked = [one for one in rest.leaks.addresses if one.address in mine]
    freed = {one.address for one in leaked}
    blocks = {block.network: block for block in records.blocks}
    unread = records.unread_names(IPAMBlock.KIND)
    return [
        *map(_deletion, held.endpoints),
        *map(_release, leaked),
        *(
            Repair(f"release block {cidr} of node {node}", ReleaseBlock(node, cidr))
            for cidr in held.blocks
            if cidr_name(str(cidr)) not in unread
            and ((block := blocks.get(cidr)) is None or _will_be_empty(block, freed))
        ),
    ]


def _deletion(endpoint: AnyEndpoint) -> Repair:
    return Repair(f"delete endpoint {endpoint.namespace}/{endpoint.name}", DeleteEndpoint(endpoint))


def _release(one: Allocation) -> Repair:
    return Repair(
        f"release {one.address} of {one.handle}", ReleaseAddress(Release(one.address, one.handle, one.sequence))
    )


def _will_be_empty(block: AnyBlock, freed: Container[Address]) -> bool:
    return all(one.address in freed or one.released for one in allocations(block))


def agreed(first: Sequence[Repair], second: Sequence[Repair]) -> list[Repair]:
    """Return the repairs that two checks both planned, as the second has them."""
    known = {repair.sentence for repair in first}
    return [repair for repair in second if repair.sentence in known]


def _of_blocks(records: IpamRecords) -> Iterator[Repair]:
    for block in records.blocks:
        if faults(block) and not _has_lost_owner(block, records.in_use):
            yield Repair(f"rewrite block {block.spec.cidr} so that its fields agree", RewriteBlock(block.network))


def _has_lost_owner(block: AnyBlock, in_use: Container[Address]) -> bool:
    """Whether an address is in use and the entry that owns it is lost."""
    known = range(len(block.spec.attributes))
    lost = [o for o, index in enumerate(block.spec.allocations) if index is not None and index not in known]
    return any(address_of(block, ordinal) in in_use for ordinal in lost)


def consistent(block: IPAMBlock, in_use: Container[Address]) -> IPAMBlock | None:
    """Return the block with fields that agree; None: an address is in use and the entry that owns it is lost."""
    if _has_lost_owner(block, in_use):
        return None
    spec = block.spec
    known = range(len(spec.attributes))
    used = sorted({index for index in spec.allocations if index is not None and index in known})
    number = {old: new for new, old in enumerate(used)}
    slots = tuple(None if index is None else number.get(index) for index in spec.allocations)
    free = [ordinal for ordinal, index in enumerate(slots) if index is None]
    queue = [ordinal for ordinal in dict.fromkeys(spec.unallocated) if ordinal in set(free)]
    sequences = spec.sequence_number_for_allocation
    return block.with_spec(
        allocations=slots,
        unallocated=(*queue, *(ordinal for ordinal in free if ordinal not in set(queue))),
        attributes=tuple(spec.attributes[index] for index in used),
        sequence_number_for_allocation={o: n for o, n in sequences.items() if o.isdigit() and int(o) not in set(free)},
    )


def _of_affinities(records: IpamRecords, freed: Container[Address]) -> Iterator[Repair]:
    blocks = {block.network: block for block in records.blocks}
    for record, _ in claim_faults(records):
        assert isinstance(record, BlockAffinity)  # who repairs it has read it in full
        host, cidr = record.spec.node, record.network
        block = blocks.get(cidr)
        node_exists = host in records.node_names
        if block is not None and affine_host(block.spec.affinity) != host:
            yield Repair(
                f"drop the affinity of node {host} for block {cidr}: the block is another node's", CompleteClaim(record)
            )
        elif record.name != affinity_name(host, str(cidr)):
            continue
        elif not node_exists or (block is None and record.confirmed):
            if block is None or _will_be_empty(block, freed):
                yield Repair(f"release block {cidr} of node {host}", ReleaseBlock(host, cidr))
        elif not record.confirmed:
            yield Repair(f"finish the claim of node {host} for block {cidr}", CompleteClaim(record))
        else:
            yield Repair(f"label the affinity of node {host} for block {cidr}", LabelAffinity(record))
    for unclaimed_block, _ in unclaimed(records):
        yield from _of_unclaimed(unclaimed_block, records, freed)


def labelled(affinity: BlockAffinity) -> BlockAffinity:
    """Return the affinity with the labels that it is listed by; others stay."""
    labels = affinity_labels(affinity.spec.node, affinity.network.version)
    return affinity.with_metadata(labels={**affinity.metadata.labels, **labels})


def _of_unclaimed(block: AnyBlock, records: IpamRecords, freed: Container[Address]) -> Iterator[Repair]:
    host = affine_host(block.spec.affinity)
    if host in records.node_names:
        yield Repair(
            f"write the affinity of node {host} for block {block.spec.cidr}", WriteAffinity(host or "", block.network)
        )
    elif host and _will_be_empty(block, freed):
        yield Repair(f"release block {block.spec.cidr} of node {host}", ReleaseBlock(host, block.network))


def _releasable(records: IpamRecords, now_ns: int, lost: Container[Address]) -> Iterator[Allocation]:
    """Yield what leaked. `lost`: the addresses of pods that are known to be gone, however short a time ago."""
    leaked = {one.address for one in records.leaks.addresses}
    for one in unused(records):
        sure = one.address in lost or one.address in records.leaks.orphans  # no pod of a node that is gone starts
        if one.address in leaked and (sure or not _may_await_endpoint(one, now_ns)):
            yield one


def _of_unassigned(records: IpamRecords) -> Iterator[Repair]:
    network = usual_network(records.handles)
    broken = [block.network for block in records.blocks if faults(block)]
    for address in unassigned(records):
        endpoint = records.endpoint_of.get(address)
        if endpoint is None or not endpoint.spec.container_id:
            continue  # a tunnel's is assigned by its node's agent, and without a handle nothing could release it
        if any(address in cidr for cidr in broken):
            continue  # the block has to be rewritten first
        attached_to = endpoint.annotations.get(NETWORK, network)  # which Calico's records do not name
        handle = pod_handle(attached_to, endpoint.spec.container_id, endpoint.spec.endpoint)
        pod, namespace = endpoint.spec.pod or "", endpoint.namespace or ""
        attributes = {"namespace": namespace, "node": endpoint.spec.node, "pod": pod}
        sentence = f"assign {address} to {handle}: pod {namespace}/{pod} uses it"
        yield Repair(sentence, AssignAddress(address, endpoint.spec.node, handle, attributes))


def _may_await_endpoint(one: Allocation, now_ns: int) -> bool:
    """Whether an address may be that of a pod that has no endpoint yet. One without a timestamp is old."""
    try:
        assigned_ns = claim_time_ns(one.attributes.get("timestamp", "")[:19])
    except ValueError:
        return False
    return now_ns - assigned_ns < ENDPOINT_DELAY_SECONDS * 10**9


def usual_network(handles: Sequence[AnyHandle]) -> str:
    """Return the CNI network that most handles of pods begin with: `NETWORK.CONTAINER`."""
    parts = (handle.spec.handle_id.rpartition(".") for handle in handles)
    networks = Counter(network for network, dot, container in parts if dot and len(container) == 64)
    return networks.most_common(1)[0][0] if networks else USUAL_NETWORK


def _of_handles(records: IpamRecords) -> Iterator[Repair]:
    for handle in records.leaks.handles:
        yield Repair(f"delete handle {handle.spec.handle_id}", RecountHandle(handle.spec.handle_id))
    for lost in lost_handles(records):
        yield Repair(f"create handle {lost}", RecountHandle(lost, frozenset(records.counts[lost])))
    for wrong in miscounted(records):
        yield Repair(f"recount handle {wrong}", RecountHandle(wrong, frozenset(records.counts[wrong])))


def recounted(handle: str, record: IPAMHandle | None, blocks: Sequence[IPAMBlock]) -> list[Write]:
    """Return the writes that make a handle's record count what these blocks hold; none if it does.

    The blocks are written before it, unchanged: a writer that is changing one of them loses the race and counts again.
    """
    held = {block.spec.cidr: count for block in blocks if (count := _held(block, handle))}
    if held == (dict(record.spec.block) if record else {}):
        return []
    fences: list[Write] = [Update(with_next_sequence(block)) for block in blocks]
    if record is None:
        return [*fences, Create(IPAMHandle.make(handle_name(handle), handle_id=handle, block=held, deleted=False))]
    return [*fences, Update(record.with_spec(block=held)) if held else Delete(record)]


def _held(block: IPAMBlock, handle: str) -> int:
    return sum(one.handle == handle and not one.released for one in allocations(block))
