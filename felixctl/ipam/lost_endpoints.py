"""Endpoints of pods that are gone: what they keep, and what becomes free without them.

Pure. An endpoint stays when its DEL never comes: its node went for good, or its runtime forgot the pod. While it is
there its address counts as used, its handle and its block stay, and no collector may touch them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from datastore.fields import Address, Network
from datastore.summaries import AnyEndpoint
from felixctl.ipam.records import IpamRecords, workload_title
from ipam.block import Allocation
from ipam.names import affine_host


class LostEndpoint(NamedTuple):
    """An endpoint whose pod is gone, and why that is believed."""

    endpoint: AnyEndpoint
    reason: str


def lost_endpoints(records: IpamRecords) -> Iterator[LostEndpoint]:
    """Yield the endpoints of nodes that were removed, and those whose device is gone."""
    nodes, without_device = records.node_names, records.without_device
    for endpoint in records.endpoints:
        if endpoint.spec.node not in nodes:
            yield LostEndpoint(endpoint, f"its node {endpoint.spec.node} was removed")
        elif without_device and (endpoint.namespace, endpoint.name) in without_device:
            device = endpoint.spec.interface_name or "device"
            yield LostEndpoint(endpoint, f"its {device} is gone from node {endpoint.spec.node}, so its DEL was lost")


def sentences(records: IpamRecords) -> Iterator[str]:
    """Yield a sentence for each endpoint of a pod that is gone: what it keeps."""
    lost = list(lost_endpoints(records))
    handles = {one.address: one.handle for one in records.allocations} if lost else {}
    for endpoint, reason in lost:
        kept = (f"{address} of {handles.get(address) or 'no handle'}" for address in endpoint.addresses)
        yield f"{workload_title(endpoint)} keeps {', '.join(kept) or 'no address'}: {reason}"


def without_lost(records: IpamRecords) -> IpamRecords:
    """Return the records as they are once those endpoints are deleted."""
    lost = {(one.endpoint.namespace, one.endpoint.name) for one in lost_endpoints(records)}
    left = [endpoint for endpoint in records.endpoints if (endpoint.namespace, endpoint.name) not in lost]
    return replace(records, endpoints=left) if lost else records


class Holdings(Struct, frozen=True, dict=True):
    """What one node has in the datastore."""

    node: str
    records: IpamRecords

    @cached_property
    def endpoints(self) -> list[AnyEndpoint]:
        return [endpoint for endpoint in self.records.endpoints if endpoint.spec.node == self.node]

    @cached_property
    def addresses(self) -> list[Allocation]:
        """Its pods' and its tunnels', also those borrowed from other nodes' blocks."""
        own = {address for endpoint in self.endpoints for address in endpoint.addresses}
        return [
            one for one in self.records.allocations if one.attributes.get("node") == self.node or one.address in own
        ]

    @cached_property
    def tunnels(self) -> list[Address]:
        return [one.address for one in self.addresses if "pod" not in one.attributes and "type" in one.attributes]

    @cached_property
    def blocks(self) -> list[Network]:
        affine = (one.network for one in self.records.affinities if one.spec.node == self.node)
        named = (one.network for one in self.records.blocks if affine_host(one.spec.affinity) == self.node)
        return list(dict.fromkeys((*affine, *named)))

    def __str__(self) -> str:
        """What it holds, as a clause; "" = nothing."""
        handles = {one.handle for one in self.addresses if one.handle}
        parts = (
            _counted(len(self.endpoints), "endpoint", [workload_title(one) for one in self.endpoints]),
            _counted(len(self.addresses), "address", [str(one.address) for one in self.addresses]),
            _counted(len(self.tunnels), "of them a tunnel's" if len(self.tunnels) == 1 else "of them tunnels'", []),
            _counted(len(handles), "handle", []),
            _counted(len(self.blocks), "block", list(map(str, self.blocks))),
        )
        return ", ".join(filter(None, parts))


LONGEST_LIST = 8


def _counted(count: int, noun: str, names: list[str]) -> str:
    if not count:
        return ""
    plural = noun if count == 1 or " " in noun else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    more = f" and {count - LONGEST_LIST} more" if count > LONGEST_LIST else ""
    return f"{count} {plural}" + (f" ({', '.join(names[:LONGEST_LIST])}{more})" if names else "")
