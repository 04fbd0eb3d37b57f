"""Where the records of addresses and what is really used differ, and how that came about.

Pure. A problem is a sentence: what is wrong and, as far as the records show, why. `felixctl.ipam.repair_plan` decides
what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import asdict

from datastore.fields import Address, Network
from datastore.names import FIRST_DEVICE, workload_endpoint_name
from datastore.plain_claims import AFFINITY, AnyAffinity
from datastore.pool_rules import overlap
from datastore.summaries import BLOCKS, ENDPOINTS, HANDLES, AnyBlock, AnyHandle
from felixctl.ipam import lost_endpoints
from felixctl.ipam.records import IpamRecords, attributes_text, workload_title
from ipam.block import Allocation, allocations, faults
from ipam.names import (
    WINDOWS_HANDLE,
    affine_host,
    affinity_labels,
    affinity_name,
    cidr_name,
    handle_name,
    written_handle,
)


class Problems(Struct, frozen=True):
    """What is wrong, a sentence each, by kind."""

    unused: tuple[str, ...]
    """Assigned and not in use."""
    outside: tuple[str, ...]
    """In use, and in no active pool."""
    unassigned: tuple[str, ...]
    """In use and in a pool, and IPAM would assign it again."""
    idle_handles: tuple[str, ...]
    """Handles that own no address."""
    lost_handles: tuple[str, ...]
    """Handles that blocks name and that have no record, so that nothing can be released by them."""
    broken_blocks: tuple[str, ...]
    """Blocks whose record contradicts itself or another block, and records that can't be read at all."""
    miscounts: tuple[str, ...]
    """Handles that count other addresses than the blocks hold."""
    shared: tuple[str, ...]
    """Addresses that two endpoints have."""
    mistaken: tuple[str, ...]
    """Addresses that one pod uses and that are assigned to another."""
    endpoints: tuple[str, ...]
    """Endpoints of pods that are gone, which keep addresses."""
    affinities: tuple[str, ...]
    """Affinities that are half done, doubled or contradicted by their block."""

    @property
    def count(self) -> int:
        return sum(map(len, asdict(self).values()))

    def persisting(self, later: Problems) -> Problems:
        """Return what a later check found, too: a pod that was just starting or ending is no problem."""
        pairs = {kind: (frozenset(first), getattr(later, kind)) for kind, first in asdict(self).items()}
        return Problems(**{kind: tuple(s for s in second if s in first) for kind, (first, second) in pairs.items()})


def problems(records: IpamRecords) -> Problems:
    """Return everything that does not agree."""
    return Problems(
        unused=tuple(_unused(records)),
        outside=tuple(_outside(records)),
        unassigned=tuple(_unassigned(records)),
        idle_handles=tuple(
            f"handle {handle.spec.handle_id} owns no address: an assignment or a release was interrupted"
            for handle in records.leaks.handles
        ),
        lost_handles=tuple(
            f"handle {handle} of {sum(held.values())} addresses is missing: an assignment is under way or was"
            " interrupted, it was deleted by hand, or the records were restored in part"
            for handle, held in lost_handles(records).items()
        ),
        broken_blocks=(
            *(f"block {block.spec.cidr}: {fault}" for block in records.blocks for fault in faults(block)),
            *(
                f"block {_title(inner)}: it lies in block {_title(outer)}, so both may assign one address"
                for outer, inner in nested(records.blocks)
            ),
            *(record.reason for record in records.unread),
        ),
        miscounts=tuple(
            f"handle {handle.spec.handle_id} counts {_counts(handle.spec.block)}, and the blocks hold"
            f" {_counts(records.counts[written])}: a count after a release or an assignment was lost"
            for written, handle in miscounted(records).items()
        ),
        shared=tuple(_shared(records)),
        mistaken=tuple(_mistaken(records)),
        endpoints=tuple(lost_endpoints.sentences(records)),
        affinities=tuple(sentence for _, sentence in (*claim_faults(records), *unclaimed(records))),
    )


def nested(blocks: Iterable[AnyBlock]) -> Iterator[tuple[AnyBlock, AnyBlock]]:
    """Yield the blocks that lie in another one, each behind the widest that holds it."""
    outer: AnyBlock | None = None
    for block in sorted(blocks, key=_place):
        if outer is not None and overlap(outer.network, block.network):
            yield outer, block
        else:
            outer = block


def _place(block: AnyBlock) -> tuple[int, int, int, str]:
    network = block.network
    return network.version, int(network.network_address), network.prefixlen, block.name


def _title(block: AnyBlock) -> str:
    return f"{block.network} ({block.name})"


def _unused(records: IpamRecords) -> Iterator[str]:
    """Yield the addresses that are not in use, why, and what releases them: agents release what a pod or node left."""
    collected = {one.address for one in records.leaks.addresses}
    for one in unused(records):
        released_by = "the agents release it" if one.address in collected else "felixctl ipam release releases it"
        yield (
            f"{one.address} is assigned to {one.handle or 'no handle'} and not in use: {released_by};"
            f" {_origin(one, records)} ({attributes_text(one)})"
        )


def unused(records: IpamRecords) -> Iterator[Allocation]:
    """Yield what is assigned and not in use. What a pod may have whose endpoint cannot be read is not among it."""
    for one in records.matching.rest:
        if not records.is_in_use(one.address) and one.handle != WINDOWS_HANDLE and not _may_be_unread(one, records):
            yield one


def _may_be_unread(one: Allocation, records: IpamRecords) -> bool:
    """Whether an address may be that of an endpoint whose record cannot be read."""
    node, pod, namespace = (one.attributes.get(key, "") for key in ("node", "pod", "namespace"))
    first = workload_endpoint_name(node, pod)
    return any(
        ENDPOINTS.kind_name == record.kind.KIND
        and record.namespace == namespace
        and (record.name == first or record.name.startswith(first.removesuffix(FIRST_DEVICE)))
        for record in records.unread
    )


def _origin(one: Allocation, records: IpamRecords) -> str:
    """Return why an address is assigned and not in use, as far as its attributes show."""
    node, pod, namespace = (one.attributes.get(key) for key in ("node", "pod", "namespace"))
    if node and node not in records.node_names:
        return f"node {node} was removed before its agent released it"
    if pod is None:
        kind = one.attributes.get("type")
        return f"node {node} has no such tunnel any more" if kind else "it was assigned by hand, or by another program"
    now = records.endpoints_of.get((namespace, pod))
    if now:
        instead = ", ".join(str(address) for endpoint in now for address in endpoint.addresses) or "no address"
        return f"pod {namespace}/{pod} was attached again and has {instead} now; its first release was lost"
    return f"pod {namespace}/{pod} was deleted and its release was lost"


def _outside(records: IpamRecords) -> Iterator[str]:
    for address, owner in records.unmatched_in_use.items():
        if address not in records.assigned and not records.is_in_a_pool(address):
            disabled = [pool.name for pool in records.pools if address in pool.network]
            why = f"pool {disabled[0]} was disabled" if disabled else "its pool was deleted, or never was"
            yield f"{address} of {owner} lies in no active pool: {why}"


def _unassigned(records: IpamRecords) -> Iterator[str]:
    return (
        f"{address} of {owner} is not assigned to it: another pod may get the same address;"
        " it was released while in use, or the records were restored from an older copy"
        for address, owner in unassigned(records).items()
    )


def unassigned(records: IpamRecords) -> dict[Address, str]:
    """Return the addresses in use that lie in an active pool and are not assigned, each with its user."""
    return {
        address: owner
        for address, owner in records.unmatched_in_use.items()
        if address not in records.assigned and records.is_in_a_pool(address)
    }


def lost_handles(records: IpamRecords) -> dict[str, Mapping[str, int]]:
    """Return the handles that blocks name and that have no record, with what they should count."""
    names = {handle.name for handle in records.handles}
    unnamed = {handle: held for handle, held in records.counts.items() if handle not in names}  # most are names
    names.update(records.unread_names(HANDLES.kind_name))
    return {handle: held for handle, held in unnamed.items() if handle_name(handle) not in names}


def miscounted(records: IpamRecords) -> dict[str, AnyHandle]:
    """Return the handles that count something, and not what the blocks hold, as blocks write them."""
    odd = [one for one in records.handles if records.counts.get(one.spec.handle_id) != one.spec.block]  # most are right
    return {
        written: handle
        for handle in odd
        if (written := written_handle(handle.spec.handle_id) or "") in records.counts
        and handle.spec.block != records.counts[written]
    }


def _counts(held: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {cidr}" for cidr, count in sorted(held.items()))


def _shared(records: IpamRecords) -> Iterator[str]:
    if sum(len(endpoint.addresses) for endpoint in records.endpoints) == len(records.endpoint_of):
        return  # each has one user
    owners: dict[Address, str] = {}
    for endpoint in records.endpoints:
        name = f"{endpoint.namespace}/{endpoint.name}"
        for address in endpoint.addresses:
            if owners.setdefault(address, name) != name:
                yield f"{address} belongs to two endpoints, {owners[address]} and {name}"


def _mistaken(records: IpamRecords) -> Iterator[str]:
    for one in records.matching.rest:
        user = records.endpoint_of.get(one.address)
        holder = (one.attributes.get("namespace"), one.attributes.get("pod"))
        if user and all(holder) and holder != (user.namespace, user.spec.pod):
            yield (
                f"{one.address} is used by {workload_title(user)} and assigned to pod {holder[0]}/{holder[1]}:"
                " it was released while in use and assigned again; delete one of the two pods"
            )


def claim_faults(records: IpamRecords) -> Iterator[tuple[AnyAffinity, str]]:
    """Yield the affinities that are half done or contradicted by their block, each with a sentence."""
    blocks = _by_network(records)
    unread = records.unread_names(BLOCKS.kind_name)
    for (host, cidr), affinity in _claims(records).items():
        if cidr_name(str(cidr)) in unread:
            continue
        if sentence := _affinity_fault(affinity, blocks.get(cidr), records):
            yield affinity, f"affinity of node {host} for {cidr}: {sentence}"


def unclaimed(records: IpamRecords) -> Iterator[tuple[AnyBlock, str]]:
    """Yield the blocks of nodes that have no affinity for them, each with a sentence."""
    claims = _claims(records)
    unread = records.unread_names(AFFINITY)
    for cidr, block in _by_network(records).items():
        owner = affine_host(block.spec.affinity)
        if owner and (owner, cidr) not in claims and affinity_name(owner, str(cidr)) not in unread:
            yield block, f"block {cidr}: it names node {owner}, which has no affinity for it, so no node announces it"


def _by_network(records: IpamRecords) -> dict[Network, AnyBlock]:
    return {block.network: block for block in records.blocks}


def _claims(records: IpamRecords) -> dict[tuple[str, Network], AnyAffinity]:
    """Return the affinities of hosts, by host and block."""
    return {(one.spec.node, one.network): one for one in records.affinities if one.spec.type == "host"}


def _affinity_fault(affinity: AnyAffinity, block: AnyBlock | None, records: IpamRecords) -> str | None:
    host, cidr = affinity.spec.node, affinity.network
    owner = affine_host(block.spec.affinity) if block else None
    if host not in records.node_names:
        held = len(list(allocations(block))) if block else 0
        return "the node was removed without releasing it" + (f"; {held} addresses in it are assigned" if held else "")
    if not affinity.confirmed:
        return f"it is {affinity.spec.state}: a claim or a release was interrupted"
    if block is None:
        return "there is no such block: a release was interrupted, or the block was deleted by hand"
    if owner != host:
        return f"the block belongs to {f'node {owner}' if owner else 'no node'}: two nodes claimed it at once"
    labels = affinity_labels(host, cidr.version)
    if affinity.name != affinity_name(host, str(cidr)):
        return f"it is called {affinity.name}, by which no agent finds it"
    if any(affinity.metadata.labels.get(key) != text for key, text in labels.items()):
        return "it lacks the labels that it is listed by: it was written by an older version, or copied"
    return None
