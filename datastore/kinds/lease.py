"""A Lease of Kubernetes: who of several processes acts, until it has not been renewed for its duration.

Pure. The times in it are for people: clocks of two machines differ, so nobody decides by them.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from datastore.record import Resource, Spec


class LeaseSpec(Spec):
    holder: str | None = Field(default=None, alias="holderIdentity")
    duration_seconds: int | None = Field(default=None, alias="leaseDurationSeconds")
    acquire_time: str | None = Field(default=None, alias="acquireTime")
    renew_time: str | None = Field(default=None, alias="renewTime")
    transitions: int | None = Field(default=None, alias="leaseTransitions")


class Lease(Resource):
    KIND: ClassVar[str] = "Lease"
    PLURAL: ClassVar[str] = "leases"
    API_VERSION: ClassVar[str] = "coordination.k8s.io/v1"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("coordination.k8s.io/v1",)
    SPEC: ClassVar[type[Spec]] = LeaseSpec
    NAMESPACED: ClassVar[bool] = True
    spec: LeaseSpec = Field(default_factory=LeaseSpec)
