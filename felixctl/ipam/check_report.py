"""The report of `ipam check`: IPAM's records, what is really used, and what is wrong, in calicoctl's words.

Pure. Each kind of problem has its own count, in calicoctl's order; kinds that it does not know come last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from datastore.fields import Address
from felixctl.ipam.problems import Problems
from felixctl.ipam.records import IpamRecords, attributes_text
from ipam.block import Allocation, allocations
from net.printable import one_line

BUSIEST_NODES = 20


def report(records: IpamRecords, found: Problems, *, all_addresses: bool = False) -> str:
    """Return the report in calicoctl's words, so that scripts that parse it work; problems are always listed."""
    return "".join(f"{one_line(line)}\n" for line in _lines(records, found, all_addresses))


def _lines(records: IpamRecords, found: Problems, everything: bool) -> Iterator[str]:
    yield from ("Checking IPAM for inconsistencies...", "", "Loading all IPAM blocks...")
    yield f"Found {len(records.blocks)} IPAM blocks."
    for block in records.blocks:
        yield f" IPAM block {block.spec.cidr} affinity={block.spec.affinity or '<none>'}:"
        if everything:
            yield from (f"  {one.address} allocated; attrs {attributes_text(one)}" for one in allocations(block))
    yield f"IPAM blocks record {len(records.allocations)} allocations."
    yield from ("", "Loading all IPAM pools...")
    yield from (f"  {pool.spec.cidr}" for pool in records.active_pools)
    yield f"Found {len(records.active_pools)} active IP pools."
    yield from ("", "Loading all nodes.")
    if everything:
        yield from _owners(records.tunnels)
    yield f"Found {len(records.tunnels)} node tunnel IPs."
    yield from ("", "Loading all service load balancer IPs.", "Found 0 service load balancer(s).")
    yield from ("", "Loading all workload endpoints.")
    if everything:
        yield from _owners(records.workloads)
    yield f"Found {len(records.endpoint_of)} workload IPs."
    yield f"Workloads and nodes are using {records.in_use_count} IPs."
    yield from ("", "Loading all handles")
    yield from _busiest(records.allocations)
    yield from _findings(records, found)


def _owners(owners: Mapping[Address, str]) -> Iterator[str]:
    return (f"  {address} belongs to {owner}" for address, owner in owners.items())


def _busiest(found: Iterable[Allocation]) -> Iterator[str]:
    yield f"Looking for top (up to {BUSIEST_NODES}) nodes by allocations..."
    by_node = Counter(one.attributes["node"] for one in found if "node" in one.attributes)
    if by_node:
        busiest = sorted(by_node.items(), key=lambda entry: (-entry[1], entry[0]))
        yield from (f"  {node} has {count} allocations" for node, count in busiest[:BUSIEST_NODES])
        yield f"Node with most allocations has {busiest[0][1]}; median is {_median([*by_node.values()]):.0f}"


def _median(counts: Sequence[int]) -> float:
    """Return what `statistics.median` does, whose import takes as long as to look at a thousand addresses."""
    ordered, middle = sorted(counts), len(counts) // 2
    return (ordered[middle] + ordered[~middle]) / 2


def _findings(records: IpamRecords, found: Problems) -> Iterator[str]:
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
    for kind, sentences in (
        ("faults of records", found.broken_blocks),
        ("handles that count wrongly", found.miscounts),
        ("IPs that two endpoints have", found.shared),
        ("IPs that are assigned to one and used by another", found.mistaken),
        ("endpoints of pods that are gone", found.endpoints),
        ("faults of affinities", found.affinities),
    ):
        if sentences:
            yield from _listed(sentences)
            yield f"Found {len(sentences)} {kind}."
    yield f"Check complete; found {found.count} problems."


def _listed(sentences: Iterable[str]) -> Iterator[str]:
    return (f"  {sentence}" for sentence in sentences)
