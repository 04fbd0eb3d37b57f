"""Nodes, pools and affinities that are plainly valid: of each what a check of addresses looks at, without pydantic.

Pure. Each has the names of the object's own attributes, so that both can be looked at by the same code. What is in any
way odd is left to the kind's reader, which alone says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from datastore import fields
from datastore.fields import Address, Network
from datastore.node_fields import TUNNEL_FIELDS, written_value
from datastore.plain_records import plain_record
from datastore.pool_rules import link_local_within, misfit
from datastore.summaries import ODD, CustomRecord, RecordMetadata

if TYPE_CHECKING:  # pydantic comes with them
    from datastore.kinds.ipam import BlockAffinity
    from datastore.kinds.node import Node
    from datastore.kinds.pools import IPPool

NODE, POOL, AFFINITY = "Node", "IPPool", "BlockAffinity"
"""The kinds by their names."""


class PlainNode(msgspec.Struct, frozen=True, gc=False):
    name: str
    tunnel_addresses: tuple[Address, ...]
    pod_cidrs: tuple[Network, ...]


class PlainPoolSpec(msgspec.Struct, frozen=True, gc=False):
    cidr: str
    disabled: bool


class PlainPool(msgspec.Struct, frozen=True, gc=False):
    name: str
    spec: PlainPoolSpec

    @property
    def network(self) -> Network:
        return fields.network(self.spec.cidr)


class PlainAffinityMetadata(msgspec.Struct, frozen=True, gc=False):
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class PlainAffinitySpec(msgspec.Struct, frozen=True, gc=False):
    state: Literal["", "pending", "confirmed", "pendingDeletion"]
    node: str
    cidr: str
    deleted: Literal["false"]
    type: Literal["host", "virtual"] = "host"


class PlainAffinity(msgspec.Struct, frozen=True, gc=False):
    name: str
    metadata: PlainAffinityMetadata
    spec: PlainAffinitySpec

    @property
    def confirmed(self) -> bool:
        return self.spec.state in ("confirmed", "")

    @property
    def network(self) -> Network:
        return fields.network(self.spec.cidr)


AnyNode: TypeAlias = "Node | PlainNode"
AnyPool: TypeAlias = "IPPool | PlainPool"
AnyAffinity: TypeAlias = "BlockAffinity | PlainAffinity"


def plain_node(text: str) -> PlainNode | None:
    """None: the record is not plainly valid."""
    record = plain_record(NODE, text)
    if record is None:
        return None
    metadata, spec = record["metadata"], record.get("spec", {})
    tunnels = _tunnel_addresses(metadata.get("annotations", {}), spec)
    try:
        return PlainNode(metadata["name"], tuple(tunnels), _pod_cidrs(spec.get("podCIDR"), spec.get("podCIDRs")))
    except ValueError:
        return None


def _pod_cidrs(one: str | None, several: Sequence[str] | None) -> tuple[Network, ...]:
    """Raises ValueError: one is none."""
    return tuple(map(fields.network, several or ([one] if one else [])))


def _tunnel_addresses(annotations: Mapping[str, str], spec: Mapping[str, Any]) -> Iterator[Address]:
    for name, version in TUNNEL_FIELDS.items():
        if written := written_value(name, annotations, spec):
            try:
                address = fields.address(written)
            except ValueError:
                continue  # as for the kind: it counts as absent
            if address.version == version:
                yield address


class _CoreNodeSpec(msgspec.Struct, gc=False):
    pod_cidr: str | None = msgspec.field(default=None, name="podCIDR")
    pod_cidrs: list[str] = msgspec.field(default_factory=list, name="podCIDRs")


class _CoreNodeRecord(msgspec.Struct, gc=False):
    metadata: RecordMetadata
    spec: _CoreNodeSpec = msgspec.field(default_factory=_CoreNodeSpec)


_CORE_NODE = msgspec.json.Decoder(_CoreNodeRecord)


def plain_core_node(text: bytes) -> PlainNode | None:
    """Return a node of an API server's list, which says neither kind nor version. None: it is not plainly valid."""
    try:
        record = _CORE_NODE.decode(text)
        cidrs = _pod_cidrs(record.spec.pod_cidr, record.spec.pod_cidrs)
    except ODD:
        return None
    tunnels = _tunnel_addresses(record.metadata.annotations or {}, {})
    return PlainNode(record.metadata.name, tuple(tunnels), cidrs)


class _PoolRecordSpec(msgspec.Struct, rename="camel", gc=False):
    """Such as nearly all pools have: what has more rules is left to the kind's reader."""

    cidr: str
    ipip_mode: Literal["Never", "Always", "CrossSubnet"] = "Never"
    vxlan_mode: Literal["Never", "Always", "CrossSubnet"] = "Never"
    nat_outgoing: bool = False
    disabled: bool = False
    disable_bgp_export: bool = msgspec.field(default=False, name="disableBGPExport")
    block_size: int | None = None
    node_selector: Literal["all()"] = "all()"
    namespace_selector: None = None
    allowed_uses: list[Literal["Workload", "Tunnel"]] = []
    assignment_mode: Literal["Automatic", "Manual"] = "Automatic"


class _PoolRecord(CustomRecord, kw_only=True, gc=False):
    spec: _PoolRecordSpec
    kind: Literal["IPPool"] | None = None


class _AffinityRecord(CustomRecord, kw_only=True, gc=False):
    spec: PlainAffinitySpec
    kind: Literal["BlockAffinity"] | None = None


_POOL, _AFFINITY_RECORD = msgspec.json.Decoder(_PoolRecord), msgspec.json.Decoder(_AffinityRecord)


def plain_pool(text: str | bytes) -> PlainPool | None:
    """None: the record is not plainly valid."""
    try:
        record = _POOL.decode(text)
        cidr = fields.network(record.spec.cidr)
    except ODD:
        return None
    spec = record.spec
    modes = {"ipip": spec.ipip_mode != "Never", "vxlan": spec.vxlan_mode != "Never"}
    if all(modes.values()) or (modes["ipip"] and cidr.version == 6):
        return None
    if misfit(cidr, spec.block_size, disabled=spec.disabled) or link_local_within(cidr):
        return None
    return PlainPool(record.metadata.name, PlainPoolSpec(spec.cidr, spec.disabled))


def plain_affinity(text: str | bytes) -> PlainAffinity | None:
    """None: the record is not plainly valid, or flagged as deleted."""
    try:
        record = _AFFINITY_RECORD.decode(text)
        fields.network(record.spec.cidr)
    except ODD:
        return None
    metadata = record.metadata
    kept = PlainAffinityMetadata(metadata.labels or {}, metadata.annotations or {})
    return PlainAffinity(metadata.name, kept, record.spec)
