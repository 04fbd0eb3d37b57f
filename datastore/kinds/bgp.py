"""The BGP kinds: who routes are exchanged with, and which routes.

Pure. Strings are kept as they were written; the properties parse them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from datastore import fields, selector
from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.field_types import (
    AddressText,
    AsNumber,
    Cidr,
    Community,
    Items,
    PeerText,
    one_of,
)
from datastore.fields import Address, Network
from datastore.record import Record, Resource, Spec

Port = Annotated[int, Field(ge=1, le=65535)]
RoutePriority = Annotated[int, Field(ge=1, le=2147483646)]
BIND_MODES = ("None", "NodeIP")
AGGREGATIONS = ("Enabled", "Disabled")
PROGRAMMED = ("Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly")


class SecretKey(Record):
    name: str | None = None
    key: str
    optional: bool | None = None


class Password(Record):
    secret_key_ref: SecretKey | None = Field(default=None, alias="secretKeyRef")


class ServiceRange(Record):
    cidr: str


class NamedCommunity(Record):
    name: Annotated[str, Field(max_length=253)]
    value: str


class PrefixAdvertisement(Record):
    cidr: str
    communities: Annotated[Items[str], Field(max_length=50)] = ()
    """Each a value, or the name of one in the configuration's `communities`."""


class BGPConfigurationSpec(Spec):
    """What no session depends on may have any value: a wrong one is among the `faults`, and counts as absent."""

    log_severity_screen: str = Field(default="Info", alias="logSeverityScreen")
    node_to_node_mesh_enabled: bool = Field(default=True, alias="nodeToNodeMeshEnabled")
    as_number: AsNumber = Field(default=DEFAULT_AS_NUMBER, alias="asNumber")
    service_cluster_ips: Items[ServiceRange] = Field(default=(), alias="serviceClusterIPs")
    service_external_ips: Items[ServiceRange] = Field(default=(), alias="serviceExternalIPs")
    service_load_balancer_ips: Items[ServiceRange] = Field(default=(), alias="serviceLoadBalancerIPs")
    service_load_balancer_aggregation: Annotated[str, one_of(AGGREGATIONS)] = Field(
        default="Enabled", alias="serviceLoadBalancerAggregation"
    )
    communities: Annotated[Items[NamedCommunity], Field(max_length=500)] = ()
    prefix_advertisements: Annotated[Items[PrefixAdvertisement], Field(max_length=500)] = Field(
        default=(), alias="prefixAdvertisements"
    )
    listen_port: Port = Field(default=179, alias="listenPort")
    node_mesh_password: Password | None = Field(default=None, alias="nodeMeshPassword")
    node_mesh_max_restart_time: str | None = Field(default=None, alias="nodeMeshMaxRestartTime")
    bind_mode: Annotated[str, one_of(BIND_MODES)] = Field(default="None", alias="bindMode")
    ignored_interfaces: Items[str] = Field(default=(), alias="ignoredInterfaces")
    local_workload_peering_ipv4: str | None = Field(default=None, alias="localWorkloadPeeringIPV4")
    local_workload_peering_ipv6: str | None = Field(default=None, alias="localWorkloadPeeringIPV6")
    program_cluster_routes: Annotated[str, one_of(PROGRAMMED)] | None = Field(
        default=None, alias="programClusterRoutes"
    )
    ipv4_normal_route_priority: RoutePriority = Field(default=1024, alias="ipv4NormalRoutePriority")
    ipv6_normal_route_priority: RoutePriority = Field(default=1024, alias="ipv6NormalRoutePriority")


class BGPConfiguration(Resource):
    """`default` for the cluster, `node.NAME` for what differs on one node (never mesh or AS)."""

    KIND: ClassVar[str] = "BGPConfiguration"
    PLURAL: ClassVar[str] = "bgpconfigurations"
    SPEC: ClassVar[type[Spec]] = BGPConfigurationSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: BGPConfigurationSpec = Field(default_factory=BGPConfigurationSpec)

    @property
    def as_number(self) -> int:
        return fields.as_number(self.spec.as_number)

    @property
    def mesh_restart_seconds(self) -> float | None:
        """How long a mesh peer may take to restart; None: the BGP speaker's default."""
        return _seconds(self.spec.node_mesh_max_restart_time)

    def service_ranges(self) -> Iterator[tuple[str, Network]]:
        """Yield the ranges of services that nodes of Calico announce, each with the field that names it.

        Bits beyond the length of one are masked away: the range that was meant is to be left alone. What is no network
        is passed over.
        """
        for field, ranges in self._ranges():
            for one in ranges:
                with suppress(ValueError):
                    yield field, fields.interface(one.cidr).network

    def _ranges(self) -> tuple[tuple[str, Items[ServiceRange]], ...]:
        spec = self.spec
        return (
            ("serviceClusterIPs", spec.service_cluster_ips),
            ("serviceExternalIPs", spec.service_external_ips),
            ("serviceLoadBalancerIPs", spec.service_load_balancer_ips),
        )

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield each field with a value that can't be read, and why."""
        spec = self.spec
        for field, ranges in self._ranges():
            yield from _faults(fields.network, {f"{field}[{n}].cidr": one.cidr for n, one in enumerate(ranges)})
        communities = {f"communities[{n}].value": one.value for n, one in enumerate(spec.communities)}
        yield from _faults(fields.community, communities)
        advertised = {f"prefixAdvertisements[{n}].cidr": one.cidr for n, one in enumerate(spec.prefix_advertisements)}
        yield from _faults(fields.network, advertised)
        yield from _faults(fields.seconds, {"nodeMeshMaxRestartTime": spec.node_mesh_max_restart_time or None})
        local = {
            "localWorkloadPeeringIPV4": spec.local_workload_peering_ipv4 or None,
            "localWorkloadPeeringIPV6": spec.local_workload_peering_ipv6 or None,
        }
        yield from _faults(fields.address, local)


def _faults(read: Callable[[str], object], written: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for field, text in written.items():
        try:
            if text is not None:
                read(text)
        except ValueError as error:
            yield f"spec.{field}", str(error)


def _seconds(written: str | None) -> float | None:
    try:
        return fields.seconds(written) if written else None
    except ValueError:
        return None


class BGPPeerSpec(Spec):
    node: Annotated[str, Field(max_length=253)] | None = None
    node_selector: str | None = Field(default=None, alias="nodeSelector")
    peer_ip: PeerText | None = Field(default=None, alias="peerIP")
    as_number: AsNumber | None = Field(default=None, alias="asNumber")
    local_as_number: AsNumber | None = Field(default=None, alias="localASNumber")
    peer_selector: str | None = Field(default=None, alias="peerSelector")
    keep_original_next_hop: bool | None = Field(default=None, alias="keepOriginalNextHop")
    next_hop_mode: Literal["Auto", "Self", "Keep"] | None = Field(default=None, alias="nextHopMode")
    password: Password | None = None
    source_address: Literal["UseNodeIP", "None"] = Field(default="UseNodeIP", alias="sourceAddress")
    max_restart_time: str | None = Field(default=None, alias="maxRestartTime")
    keepalive_time: str | None = Field(default=None, alias="keepaliveTime")
    num_allowed_local_as_numbers: Annotated[int, Field(ge=0, le=2147483647)] | None = Field(
        default=None, alias="numAllowedLocalASNumbers"
    )
    ttl_security: Annotated[int, Field(ge=0, le=255)] | None = Field(default=None, alias="ttlSecurity")
    reachable_by: AddressText | None = Field(default=None, alias="reachableBy")
    filters: Items[str] = ()
    local_workload_selector: str | None = Field(default=None, alias="localWorkloadSelector")
    reverse_peering: Literal["Auto", "Manual"] = Field(default="Auto", alias="reversePeering")

    @model_validator(mode="before")
    @classmethod
    def _empty_texts_are_absent(cls, written: Any) -> Any:
        """Calico takes a text that is empty for one that nobody set."""
        if not isinstance(written, dict):
            return written
        known = {key for name, field in cls.model_fields.items() for key in (name, field.alias)}
        return {key: value for key, value in written.items() if value != "" or key not in known}

    @model_validator(mode="after")
    def _fields_exclude_each_other(self) -> Self:
        exclusive = (
            ("node", self.node, "nodeSelector", self.node_selector),
            ("peerSelector", self.peer_selector, "peerIP", self.peer_ip),
            ("peerSelector", self.peer_selector, "asNumber", self.as_number),
            ("keepOriginalNextHop", self.keep_original_next_hop, "nextHopMode", self.next_hop_mode),
            ("localWorkloadSelector", self.local_workload_selector, "peerIP", self.peer_ip),
            ("localWorkloadSelector", self.local_workload_selector, "peerSelector", self.peer_selector),
        )
        for one, first, other, second in exclusive:
            if first and second:
                raise ValueError(f"{one} and {other} exclude each other")
        if self.reachable_by and not self.peer_ip:
            raise ValueError("reachableBy needs peerIP")
        if self.local_workload_selector and not self.as_number:
            raise ValueError("localWorkloadSelector needs asNumber")
        if self.reachable_by and self.peer_ip:
            peer, _ = fields.peer_address(self.peer_ip)
            if peer.version != fields.address(self.reachable_by).version:
                raise ValueError(f"reachableBy {self.reachable_by} is not of the family of peerIP {self.peer_ip}")
        return self


class BGPPeer(Resource):
    """A peering of some of our nodes: all of them, where neither node nor nodeSelector is given."""

    KIND: ClassVar[str] = "BGPPeer"
    PLURAL: ClassVar[str] = "bgppeers"
    SPEC: ClassVar[type[Spec]] = BGPPeerSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: BGPPeerSpec = Field(default_factory=BGPPeerSpec)

    @property
    def address(self) -> Address | None:
        return fields.peer_address(self.spec.peer_ip)[0] if self.spec.peer_ip else None

    @property
    def port(self) -> int | None:
        """The port written behind peerIP; None if there is none."""
        return fields.peer_address(self.spec.peer_ip)[1] if self.spec.peer_ip else None

    @property
    def as_number(self) -> int | None:
        return None if self.spec.as_number is None else fields.as_number(self.spec.as_number)

    @property
    def local_as_number(self) -> int | None:
        return None if self.spec.local_as_number is None else fields.as_number(self.spec.local_as_number)

    @property
    def restart_seconds(self) -> float | None:
        """How long the peer may take to restart; None: the BGP speaker's default."""
        return _seconds(self.spec.max_restart_time)

    @property
    def keepalive_seconds(self) -> float | None:
        return _seconds(self.spec.keepalive_time)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield each field with a value that can't be read, and why: the session comes up without it."""
        spec = self.spec
        times = {"maxRestartTime": spec.max_restart_time, "keepaliveTime": spec.keepalive_time}
        yield from _faults(fields.seconds, times)

    def unread_selectors(self) -> Iterator[tuple[str, str]]:
        """Yield each field with a selector that can't be read, and why: it selects nothing, as in Calico."""
        spec = self.spec
        selectors = {
            "nodeSelector": spec.node_selector,
            "peerSelector": spec.peer_selector,
            "localWorkloadSelector": spec.local_workload_selector,
        }
        yield from _faults(selector.parse, selectors)

    @property
    def is_global(self) -> bool:
        """True if every node is on the local side."""
        return not self.spec.node and not self.spec.node_selector

    def starts_at(self, node: str, labels: selector.Labels) -> bool:
        """True if this node is on the local side."""
        if self.spec.node:
            return self.spec.node == node
        return not self.spec.node_selector or _selects(self.spec.node_selector, labels)

    def leads_to(self, labels: selector.Labels) -> bool:
        """True if a node with these labels is on the remote side by peerSelector."""
        return bool(self.spec.peer_selector) and _selects(self.spec.peer_selector or "", labels)


def _selects(text: str, labels: selector.Labels) -> bool:
    """Whether a selector has these labels; one that can't be read has none."""
    try:
        return selector.parse(text).matches(labels)
    except selector.SelectorError:
        return False


class PrefixLengths(Record):
    min: int | None = None
    max: int | None = None


class CommunityMatch(Record):
    values: Annotated[Items[Community], Field(min_length=1, max_length=1)]


class AddCommunity(Record):
    value: Community


class PrependPath(Record):
    prefix: Annotated[Items[AsNumber], Field(min_length=1, max_length=10)]


class SetPriority(Record):
    value: RoutePriority


class FilterOperation(Record):
    """One change to an accepted route: exactly one of the three."""

    add_community: AddCommunity | None = Field(default=None, alias="addCommunity")
    prepend_as_path: PrependPath | None = Field(default=None, alias="prependASPath")
    set_priority: SetPriority | None = Field(default=None, alias="setPriority")

    @model_validator(mode="after")
    def _has_exactly_one_change(self) -> Self:
        given = [one for one in (self.add_community, self.prepend_as_path, self.set_priority) if one is not None]
        if len(given) != 1:
            raise ValueError("is not exactly one of addCommunity, prependASPath and setPriority")
        return self


class FilterRule(Record):
    action: Literal["Accept", "Reject"]
    cidr: Cidr | None = None
    match_operator: Literal["Equal", "NotEqual", "In", "NotIn"] | None = Field(default=None, alias="matchOperator")
    prefix_length: PrefixLengths | None = Field(default=None, alias="prefixLength")
    source: Literal["RemotePeers"] | None = None
    interface: Annotated[str, Field(max_length=15)] | None = None
    peer_type: Literal["eBGP", "iBGP"] | None = Field(default=None, alias="peerType")
    communities: CommunityMatch | None = None
    as_path_prefix: Items[AsNumber] = Field(default=(), alias="asPathPrefix")
    priority: RoutePriority | None = None
    operations: Annotated[Items[FilterOperation], Field(max_length=10)] = ()

    @model_validator(mode="after")
    def _fields_need_each_other(self) -> Self:
        if (self.cidr is None) != (self.match_operator is None):
            raise ValueError("has one of cidr and matchOperator, and each needs the other")
        if self.prefix_length is not None and self.cidr is None:
            raise ValueError("has prefixLength without cidr")
        if self.operations and self.action != "Accept":
            raise ValueError("has operations, which need action Accept")
        return self


class BGPFilterSpec(Spec):
    export_v4: Items[FilterRule] = Field(default=(), alias="exportV4")
    import_v4: Items[FilterRule] = Field(default=(), alias="importV4")
    export_v6: Items[FilterRule] = Field(default=(), alias="exportV6")
    import_v6: Items[FilterRule] = Field(default=(), alias="importV6")

    @model_validator(mode="after")
    def _rules_are_of_their_family(self) -> Self:
        for field, rules, version in (
            ("exportV4", self.export_v4, 4),
            ("importV4", self.import_v4, 4),
            ("exportV6", self.export_v6, 6),
            ("importV6", self.import_v6, 6),
        ):
            for index, rule in enumerate(rules):
                _check_family(f"spec.{field}[{index}]", rule, version)
        return self


def _check_family(where: str, rule: FilterRule, version: int) -> None:
    if rule.cidr is not None and fields.network(rule.cidr).version != version:
        raise ValueError(f"{where}.cidr {rule.cidr} is not an IPv{version} network")
    if rule.prefix_length is not None:
        bits = 32 if version == 4 else 128
        low = 0 if rule.prefix_length.min is None else rule.prefix_length.min
        high = bits if rule.prefix_length.max is None else rule.prefix_length.max
        if not 0 <= low <= high <= bits:
            raise ValueError(f"{where}.prefixLength {low} to {high} is not a range within 0 to {bits}")


class BGPFilter(Resource):
    KIND: ClassVar[str] = "BGPFilter"
    PLURAL: ClassVar[str] = "bgpfilters"
    SPEC: ClassVar[type[Spec]] = BGPFilterSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: BGPFilterSpec = Field(default_factory=BGPFilterSpec)
