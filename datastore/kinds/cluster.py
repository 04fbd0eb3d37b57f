"""The settings of the whole cluster: ClusterInformation and FelixConfiguration.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from datastore import fields
from datastore.field_types import Items, in_range, one_of
from datastore.record import Resource, Spec

SWITCH = ("Enabled", "Disabled")
PROTOCOLS = (0, 255)
PORTS = (1, 65535)


class ClusterInformationSpec(Spec):
    cluster_guid: str | None = Field(default=None, alias="clusterGUID")
    cluster_type: str | None = Field(default=None, alias="clusterType")
    calico_version: str | None = Field(default=None, alias="calicoVersion")
    datastore_ready: bool = Field(default=False, alias="datastoreReady")
    variant: str | None = None


IMPORT_MARK = "felix-py/import"
"""The annotation that stands here while an import into the datastore is not complete."""


class ClusterInformation(Resource):
    """The one named `default`. Unless its `datastoreReady` is true, no address may be assigned."""

    KIND: ClassVar[str] = "ClusterInformation"
    PLURAL: ClassVar[str] = "clusterinformations"
    SPEC: ClassVar[type[Spec]] = ClusterInformationSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: ClusterInformationSpec = Field(default_factory=ClusterInformationSpec)

    @property
    def is_incomplete(self) -> bool:
        """Whether an import into this datastore goes on, or ended half way: what is not there may still come."""
        return IMPORT_MARK in self.annotations


class FelixConfigurationSpec(Spec):
    """Some of Felix's many fields; the others are kept as written.

    felix_py.configuration.felix_configuration says which of them are obeyed. Those that are not have any value: a wrong
    one is a `fault`, which must not cost those that are.
    """

    log_severity_screen: str = Field(default="Info", alias="logSeverityScreen")
    interface_prefix: str = Field(default="cali", alias="interfacePrefix")
    route_refresh_interval: str = Field(default="90s", alias="routeRefreshInterval")
    ipv6_support: bool = Field(default=True, alias="ipv6Support")
    ipip_mtu: int = Field(default=0, alias="ipipMTU", ge=0, le=65535)  # 0: what the host's MTU leaves
    nat_outgoing_address: str | None = Field(default=None, alias="natOutgoingAddress")
    nat_port_range: int | str | None = Field(default=None, alias="natPortRange")
    nat_outgoing_exclusions: str | None = Field(default=None, alias="natOutgoingExclusions")
    nat_outgoing_device: str | None = Field(default=None, alias="iptablesNATOutgoingInterfaceFilter")
    external_nodes: Items[str] = Field(default=(), alias="externalNodesList")
    ip_forwarding: Annotated[str, one_of(SWITCH)] = Field(default="Enabled", alias="ipForwarding")
    device_route_protocol: Annotated[int, in_range(*PROTOCOLS)] | None = Field(
        default=None, alias="deviceRouteProtocol"
    )
    health_enabled: bool = Field(default=False, alias="healthEnabled")
    health_host: str = Field(default="localhost", alias="healthHost")
    health_port: Annotated[int, in_range(*PORTS)] = Field(default=9099, alias="healthPort")
    prometheus_metrics_enabled: bool = Field(default=False, alias="prometheusMetricsEnabled")
    prometheus_metrics_host: str = Field(default="", alias="prometheusMetricsHost")
    prometheus_metrics_port: Annotated[int, in_range(*PORTS)] = Field(default=9091, alias="prometheusMetricsPort")


class FelixConfiguration(Resource):
    """`default` for the cluster, `node.NAME` for one node."""

    KIND: ClassVar[str] = "FelixConfiguration"
    PLURAL: ClassVar[str] = "felixconfigurations"
    SPEC: ClassVar[type[Spec]] = FelixConfigurationSpec
    spec: FelixConfigurationSpec = Field(default_factory=FelixConfigurationSpec)

    @property
    def fault(self) -> str:
        return "; ".join(self._faults())

    def _faults(self) -> Iterator[str]:
        spec = self.spec
        try:
            fields.seconds(spec.route_refresh_interval)
        except ValueError as error:
            yield f"spec.routeRefreshInterval {error}"
        if spec.ip_forwarding not in SWITCH:
            yield f'spec.ipForwarding "{spec.ip_forwarding}" is not one of {", ".join(SWITCH)}'
        for field, number, (least, most) in (
            ("deviceRouteProtocol", spec.device_route_protocol, PROTOCOLS),
            ("healthPort", spec.health_port, PORTS),
            ("prometheusMetricsPort", spec.prometheus_metrics_port, PORTS),
        ):
            if number is not None and not least <= number <= most:
                yield f"spec.{field} {number} is not between {least} and {most}"
