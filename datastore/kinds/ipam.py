"""The records of IPAM: its configuration, affinities, blocks and handles.

Pure. What they mean and how they change is decided in ipam/; here they are read and written.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from datastore.field_types import Cidr, Items, one_of
from datastore.fields import Network, network
from datastore.record import Record, Resource, Spec

PERSISTENCES = ("Enabled", "Disabled")


class IPAMConfigSpec(Spec):
    strict_affinity: bool = Field(default=False, alias="strictAffinity")
    auto_allocate_blocks: bool = Field(default=True, alias="autoAllocateBlocks")
    max_blocks_per_host: int = Field(default=0, alias="maxBlocksPerHost", ge=0, le=2147483647)
    kubevirt_vm_address_persistence: Annotated[str, one_of(PERSISTENCES)] = Field(
        default="Enabled", alias="kubeVirtVMAddressPersistence"
    )
    ip_cooldown_seconds: int = Field(default=0, alias="ipCooldownSeconds", ge=0, le=1200)


class IPAMConfig(Resource):
    """The one named `default`. Without it, affinity is not strict and blocks are claimed as needed."""

    KIND: ClassVar[str] = "IPAMConfig"
    ALIASES: ClassVar[tuple[str, ...]] = ("IPAMConfiguration",)
    PLURAL: ClassVar[str] = "ipamconfigs"
    SPEC: ClassVar[type[Spec]] = IPAMConfigSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: IPAMConfigSpec

    @property
    def fault(self) -> str:
        spec = self.spec
        if not spec.strict_affinity and not spec.auto_allocate_blocks:
            return "autoAllocateBlocks false needs strictAffinity true"
        if (other := spec.kubevirt_vm_address_persistence) not in PERSISTENCES:
            return f'spec.kubeVirtVMAddressPersistence "{other}" is not one of {", ".join(PERSISTENCES)}'
        return ""

    @property
    def limits_borrowers(self) -> bool:
        """Whether nodes may borrow and have a limit of blocks, which comes first: at the limit none borrows.

        No fault, as Calico's manual has such a record; only the command that sets the one or the other refuses it.
        """
        return self.spec.max_blocks_per_host > 0 and not self.spec.strict_affinity


class BlockAffinitySpec(Spec):
    state: Literal["", "pending", "confirmed", "pendingDeletion"]
    node: str
    type: Literal["host", "virtual"] = "host"
    cidr: Cidr
    deleted: Literal["true", "false"]
    """A text, unlike the flag of blocks and handles: the API server refuses a boolean here."""


class BlockAffinity(Resource):
    KIND: ClassVar[str] = "BlockAffinity"
    PLURAL: ClassVar[str] = "blockaffinities"
    NODE_FIELD: ClassVar[str] = "spec.node"
    SPEC: ClassVar[type[Spec]] = BlockAffinitySpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: BlockAffinitySpec

    @property
    def deleted(self) -> bool:
        return self.spec.deleted == "true"

    @property
    def confirmed(self) -> bool:
        """Whether the claim is complete; records of old versions have an empty state and are."""
        return self.spec.state in ("confirmed", "")

    @property
    def network(self) -> Network:
        return network(self.spec.cidr)


class AllocationAttribute(Record):
    """The owner of the addresses that point here. Its fields are the only ones with snake_case outside."""

    handle_id: str | None = None
    secondary: dict[str, str] | None = None
    alternate_owner: dict[str, str] | None = Field(default=None, alias="alternateOwnerAttrs")
    released_at: str | None = Field(default=None, alias="releasedAt")


class IPAMBlockSpec(Spec):
    cidr: Cidr
    affinity: str | None = None
    affinity_claim_time: str | None = Field(default=None, alias="affinityClaimTime")
    strict_affinity: bool = Field(alias="strictAffinity")
    deleted: bool = False
    sequence_number: int = Field(default=0, alias="sequenceNumber")
    sequence_number_for_allocation: dict[str, int] = Field(default_factory=dict, alias="sequenceNumberForAllocation")
    allocations: Items[int | None]
    unallocated: Items[int]
    attributes: Items[AllocationAttribute]

    @model_validator(mode="after")
    def _has_a_slot_for_each_address(self) -> Self:
        addresses = network(self.cidr).num_addresses
        if len(self.allocations) != addresses:
            raise ValueError(f"allocations has {len(self.allocations)} slots, and {self.cidr} {addresses} addresses")
        return self


class IPAMBlock(Resource):
    KIND: ClassVar[str] = "IPAMBlock"
    PLURAL: ClassVar[str] = "ipamblocks"
    SPEC: ClassVar[type[Spec]] = IPAMBlockSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: IPAMBlockSpec

    @property
    def deleted(self) -> bool:
        return self.spec.deleted

    @property
    def network(self) -> Network:
        return network(self.spec.cidr)


class IPAMHandleSpec(Spec):
    handle_id: str = Field(alias="handleID")
    block: dict[str, int]
    deleted: bool = False


class IPAMHandle(Resource):
    KIND: ClassVar[str] = "IPAMHandle"
    PLURAL: ClassVar[str] = "ipamhandles"
    SPEC: ClassVar[type[Spec]] = IPAMHandleSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: IPAMHandleSpec

    @property
    def deleted(self) -> bool:
        return self.spec.deleted
