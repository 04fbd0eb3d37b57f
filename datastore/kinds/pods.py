"""A workload endpoint: one pod's attachment to the network.

Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Self

from pydantic import Field, model_validator

from datastore import fields
from datastore.field_types import CidrOrAddress, Items
from datastore.record import V3, Resource, Spec


class WorkloadEndpointSpec(Spec):
    orchestrator: str = "k8s"
    workload: str | None = None
    node: str
    container_id: str | None = Field(default=None, alias="containerID")
    pod: str | None = None
    endpoint: str = "eth0"
    service_account_name: str | None = Field(default=None, alias="serviceAccountName")
    ip_networks: Items[CidrOrAddress] = Field(default=(), alias="ipNetworks")
    ipv4_gateway: str | None = Field(default=None, alias="ipv4Gateway")
    ipv6_gateway: str | None = Field(default=None, alias="ipv6Gateway")
    profiles: Items[str] = ()
    interface_name: str | None = Field(default=None, alias="interfaceName")
    mac: str | None = None
    allowed_source_prefixes: Items[CidrOrAddress] = Field(default=(), alias="allowedSourcePrefixes")


class WorkloadEndpoint(Resource):
    KIND: ClassVar[str] = "WorkloadEndpoint"
    PLURAL: ClassVar[str] = "workloadendpoints"
    API_VERSION: ClassVar[str] = V3
    API_VERSIONS: ClassVar[tuple[str, ...]] = (V3,)
    SPEC: ClassVar[type[Spec]] = WorkloadEndpointSpec
    NAMESPACED: ClassVar[bool] = True
    NODE_FIELD: ClassVar[str] = "spec.node"
    spec: WorkloadEndpointSpec

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The pod's addresses; records write them as /32 and /128."""
        return tuple(fields.interface(text).ip for text in self.spec.ip_networks)

    @model_validator(mode="after")
    def _has_single_addresses(self) -> Self:
        for text in self.spec.ip_networks:
            if fields.network_or_address(text).num_addresses != 1:
                raise ValueError(f"spec.ipNetworks {text} is not one address")
        return self
