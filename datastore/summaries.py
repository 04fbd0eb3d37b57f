"""What whoever looks at all blocks, handles or endpoints of a cluster keeps of each, read at a tenth of their cost.

Pure. A summary has the names of the object's own attributes, so that both can be looked at by the same code. It is read
from the record's text only where that is plainly a valid record; what is in any way odd is left to the kind's reader,
which alone says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from datastore.fields import Address, Network, network
from datastore.names import ENCAPSULATED, IPAM, NETWORK
from datastore.store import Summary
from net.prefix import pack

if TYPE_CHECKING:  # pydantic comes with them, and what is plainly valid needs none
    from datastore.kinds.cluster import ClusterInformation
    from datastore.kinds.ipam import AllocationAttribute, IPAMBlock, IPAMBlockSpec, IPAMHandle
    from datastore.kinds.pods import WorkloadEndpoint


class Owner(msgspec.Struct, frozen=True, gc=False):
    """One of a block's attributes."""

    handle_id: str | None = None
    secondary: dict[str, str] | None = None
    alternate_owner: dict[str, str] | None = msgspec.field(default=None, name="alternateOwnerAttrs")
    released_at: str | None = msgspec.field(default=None, name="releasedAt")

    @classmethod
    def of(cls, attribute: AllocationAttribute) -> Owner:
        return cls(attribute.handle_id, attribute.secondary, attribute.alternate_owner, attribute.released_at)


class BlockSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    cidr: str
    strict_affinity: bool
    allocations: tuple[int | None, ...]
    unallocated: tuple[int, ...]
    attributes: tuple[Owner, ...]
    affinity: str | None = None
    affinity_claim_time: str | None = None
    deleted: bool = False
    sequence_number: int = 0
    sequence_number_for_allocation: dict[str, int] = {}

    @classmethod
    def of(cls, spec: IPAMBlockSpec) -> BlockSpec:
        return cls(
            spec.cidr,
            spec.strict_affinity,
            spec.allocations,
            spec.unallocated,
            tuple(map(Owner.of, spec.attributes)),
            spec.affinity,
            spec.affinity_claim_time,
            spec.deleted,
            spec.sequence_number,
            spec.sequence_number_for_allocation,
        )


class BlockSummary(msgspec.Struct, frozen=True, gc=False):
    name: str
    spec: BlockSpec

    @classmethod
    def of(cls, block: IPAMBlock) -> BlockSummary:
        return cls(block.name, BlockSpec.of(block.spec))

    @property
    def namespace(self) -> None:
        return None

    @property
    def network(self) -> Network:
        return network(self.spec.cidr)


class HandleSpec(msgspec.Struct, frozen=True, gc=False):
    handle_id: str
    block: Mapping[str, int]


class HandleSummary(msgspec.Struct, frozen=True, gc=False):
    name: str
    revision: str | None
    spec: HandleSpec

    @classmethod
    def of(cls, handle: IPAMHandle) -> HandleSummary:
        return cls(handle.name, handle.revision, HandleSpec(handle.spec.handle_id, handle.spec.block))

    @property
    def namespace(self) -> None:
        return None


class EndpointSpec(msgspec.Struct, frozen=True, gc=False):
    node: str
    pod: str | None
    endpoint: str
    container_id: str | None
    interface_name: str | None


class EndpointSummary(msgspec.Struct, frozen=True, gc=False):
    name: str
    namespace: str | None
    revision: str | None
    addresses: tuple[Address, ...]
    spec: EndpointSpec
    network: str | None = None
    """What the annotation NETWORK says."""
    ipam: str | None = None
    """What the annotation IPAM says."""

    @classmethod
    def of(cls, endpoint: WorkloadEndpoint) -> EndpointSummary:
        spec = endpoint.spec
        return cls(
            endpoint.name,
            endpoint.namespace,
            endpoint.revision,
            endpoint.addresses,
            EndpointSpec(spec.node, spec.pod, spec.endpoint, spec.container_id, spec.interface_name),
            endpoint.annotations.get(NETWORK),
            endpoint.annotations.get(IPAM),
        )

    @property
    def annotations(self) -> Mapping[str, str]:
        """Those that a summary keeps."""
        kept = {NETWORK: self.network, IPAM: self.ipam}
        return {key: text for key, text in kept.items() if text is not None}


class EndpointRow(NamedTuple):
    """What the short table of endpoints shows of one, and its name, in the order of the table; "" = it has none."""

    namespace: str
    pod: str
    name: str
    node: str
    networks: str
    interface: str


class ClusterSummary(msgspec.Struct, frozen=True, gc=False):
    """A ClusterInformation: what `felixctl version` says of the cluster."""

    name: str
    calico_version: str | None
    cluster_type: str | None

    @classmethod
    def of(cls, information: ClusterInformation) -> ClusterSummary:
        return cls(information.name, information.spec.calico_version, information.spec.cluster_type)

    @property
    def namespace(self) -> None:
        return None


AnyBlock: TypeAlias = "IPAMBlock | BlockSummary"
AnyHandle: TypeAlias = "IPAMHandle | HandleSummary"
AnyEndpoint: TypeAlias = "WorkloadEndpoint | EndpointSummary"


def single_address(text: str) -> Address:
    """Return the address that a record writes as /32 or /128. Raises ValueError: it may be something else."""
    packed = _packed(text)
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _packed(text: str) -> bytes:
    return pack(text.removesuffix("/128" if ":" in text else "/32"))


# What follows has every field of the kinds, so that what is not valid is found out; only some are kept.


class RecordMetadata(msgspec.Struct, rename="camel", gc=False):
    name: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9._-]{1,253}\Z")]
    namespace: str | None = None
    resource_version: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] = []


class CustomRecord(msgspec.Struct, gc=False):
    metadata: RecordMetadata
    api_version: Literal["crd.projectcalico.org/v1", "projectcalico.org/v3"] | None = msgspec.field(
        default=None, name="apiVersion"
    )


class _BlockRecord(CustomRecord, kw_only=True, gc=False):
    spec: BlockSpec
    kind: Literal["IPAMBlock"] | None = None


class _HandleRecordSpec(msgspec.Struct, gc=False):
    block: dict[str, int]
    handle_id: str = msgspec.field(name="handleID")
    deleted: bool = False


class _HandleRecord(CustomRecord, kw_only=True, gc=False):
    spec: _HandleRecordSpec
    kind: Literal["IPAMHandle"] | None = None


class _ClusterRecordSpec(msgspec.Struct, rename="camel", gc=False):
    cluster_guid: str | None = msgspec.field(default=None, name="clusterGUID")
    cluster_type: str | None = None
    calico_version: str | None = None
    datastore_ready: bool = False
    variant: str | None = None


class _ClusterRecord(CustomRecord, kw_only=True, gc=False):
    spec: _ClusterRecordSpec = msgspec.field(default_factory=_ClusterRecordSpec)
    kind: Literal["ClusterInformation"] | None = None


class _EndpointRecordSpec(msgspec.Struct, rename="camel", gc=False):
    node: str
    orchestrator: str = "k8s"
    workload: str | None = None
    container_id: str | None = msgspec.field(default=None, name="containerID")
    pod: str | None = None
    endpoint: str = "eth0"
    service_account_name: str | None = None
    ip_networks: list[str] = []
    ipv4_gateway: str | None = None
    ipv6_gateway: str | None = None
    profiles: list[str] = []
    interface_name: str | None = None
    mac: str | None = None
    allowed_source_prefixes: list[str] = []


class _EndpointRecord(msgspec.Struct, gc=False):
    metadata: RecordMetadata
    spec: _EndpointRecordSpec
    kind: Literal["WorkloadEndpoint"] | None = None
    api_version: Literal["projectcalico.org/v3"] | None = msgspec.field(default=None, name="apiVersion")


_BLOCK = msgspec.json.Decoder(_BlockRecord)
_HANDLE = msgspec.json.Decoder(_HandleRecord)
_ENDPOINT = msgspec.json.Decoder(_EndpointRecord)
_CLUSTER = msgspec.json.Decoder(_ClusterRecord)
ODD = (msgspec.DecodeError, UnicodeError, RecursionError, ValueError)
"""What a decoder raises for a text that is not plainly valid."""


def _block(text: str | bytes) -> BlockSummary | None:
    try:
        record = _BLOCK.decode(text)
        block = BlockSummary(record.metadata.name, record.spec)
        addresses = block.network.num_addresses
    except ODD:
        return None
    return None if block.spec.deleted or len(block.spec.allocations) != addresses else block


def _handle(text: str | bytes) -> HandleSummary | None:
    try:
        record = _HANDLE.decode(text)
    except ODD:
        return None
    metadata, spec = record.metadata, record.spec
    if spec.deleted:
        return None
    return HandleSummary(metadata.name, metadata.resource_version, HandleSpec(spec.handle_id, spec.block))


def endpoint_row(text: str) -> EndpointRow | None:
    """Return what a table shows of an endpoint's record; None: it is not plainly valid."""
    try:
        metadata, spec = _plain_endpoint(text)
        for written in spec.ip_networks:
            _packed(written)
    except ODD:
        return None
    return EndpointRow(
        metadata.namespace or "",
        spec.pod or "",
        metadata.name,
        spec.node,
        ",".join(spec.ip_networks),
        spec.interface_name or "",
    )


def _plain_endpoint(text: str | bytes) -> tuple[RecordMetadata, _EndpointRecordSpec]:
    """Raises one of ODD: it is not plainly valid."""
    record = _ENDPOINT.decode(text)
    metadata, spec = record.metadata, record.spec
    if not metadata.namespace or spec.allowed_source_prefixes:
        raise ValueError("only its reader can judge it")
    return metadata, spec


def _endpoint(text: str | bytes) -> EndpointSummary | None:
    try:
        metadata, spec = _plain_endpoint(text)
        addresses = tuple(map(single_address, spec.ip_networks))
    except ODD:
        return None
    annotations = metadata.annotations or {}
    if ENCAPSULATED in annotations:
        return None
    return EndpointSummary(
        metadata.name,
        metadata.namespace,
        metadata.resource_version,
        addresses,
        EndpointSpec(spec.node, spec.pod, spec.endpoint, spec.container_id, spec.interface_name),
        annotations.get(NETWORK),
        annotations.get(IPAM),
    )


def _cluster(text: str | bytes) -> ClusterSummary | None:
    try:
        record = _CLUSTER.decode(text)
    except ODD:
        return None
    return ClusterSummary(record.metadata.name, record.spec.calico_version, record.spec.cluster_type)


def _blocks() -> type[IPAMBlock]:
    from datastore.kinds.ipam import IPAMBlock

    return IPAMBlock


def _handles() -> type[IPAMHandle]:
    from datastore.kinds.ipam import IPAMHandle

    return IPAMHandle


def _endpoints() -> type[WorkloadEndpoint]:
    from datastore.kinds.pods import WorkloadEndpoint

    return WorkloadEndpoint


def _clusters() -> type[ClusterInformation]:
    from datastore.kinds.cluster import ClusterInformation

    return ClusterInformation


BLOCKS = Summary("IPAMBlock", _blocks, _block, BlockSummary.of)
HANDLES = Summary("IPAMHandle", _handles, _handle, HandleSummary.of)
ENDPOINTS = Summary("WorkloadEndpoint", _endpoints, _endpoint, EndpointSummary.of)
CLUSTERS = Summary("ClusterInformation", _clusters, _cluster, ClusterSummary.of)
