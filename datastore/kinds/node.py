"""A node: its addresses, AS number, tunnels and labels.

Pure. A node's data is in annotations of the core Node (or in the spec of a v3 Node, as calicoctl prints it); a value
that can't be parsed counts as absent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar

from pydantic import Field

from datastore import fields
from datastore.field_types import Items
from datastore.fields import Network
from datastore.node_fields import PREFIX, V3_FIELDS, written_value
from datastore.record import V3, Resource, Spec

V = TypeVar("V")

TunnelKind = Literal["ipip", "vxlan", "vxlan-v6", "wireguard", "wireguard-v6"]

ANNOTATION_PREFIX = PREFIX
CALICOS_ANNOTATIONS = frozenset(
    f"{ANNOTATION_PREFIX}{name}" for name in (*V3_FIELDS, "labels", "annotations", "kube-labels", "metadata")
)
"""All that Calico has: a Node's values, and libcalico's notes for itself."""
OWN_PREFIX = "felix-py/"
"""Of annotations that Calico does not read."""
HOST, CLAIM = f"{OWN_PREFIX}host", f"{OWN_PREFIX}claim"
"""Those of a Node: which host it is of, and which other host that was started as the same node wants an answer."""
TUNNEL_ANNOTATIONS: Mapping[TunnelKind, str] = {
    "ipip": f"{ANNOTATION_PREFIX}IPv4IPIPTunnelAddr",
    "vxlan": f"{ANNOTATION_PREFIX}IPv4VXLANTunnelAddr",
    "vxlan-v6": f"{ANNOTATION_PREFIX}IPv6VXLANTunnelAddr",
    "wireguard": f"{ANNOTATION_PREFIX}IPv4WireguardInterfaceAddr",
    "wireguard-v6": f"{ANNOTATION_PREFIX}IPv6WireguardInterfaceAddr",
}

NETWORK_UNAVAILABLE = "NetworkUnavailable"
"""The type of the condition by which a node's network says whether it is there; the scheduler goes by its status."""


class NodeCondition(NamedTuple):
    """What a condition of a Node says: `True`, `False` or `Unknown`, why in one word, and why in a sentence."""

    status: str
    reason: str
    message: str


class NodeSpec(Spec):
    pod_cidr: str | None = Field(default=None, alias="podCIDR")
    pod_cidrs: Items[str] = Field(default=(), alias="podCIDRs")


class Node(Resource):
    KIND: ClassVar[str] = "Node"
    PLURAL: ClassVar[str] = "nodes"
    NODE_FIELD: ClassVar[str] = "metadata.name"
    API_VERSION: ClassVar[str] = "v1"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1", V3)
    SPEC: ClassVar[type[Spec]] = NodeSpec
    spec: NodeSpec = Field(default_factory=NodeSpec)

    @property
    def ipv4(self) -> IPv4Interface | None:
        """The address that peers and routes use, with the length of its subnet."""
        found = self._value("IPv4Address", fields.interface)
        return found if isinstance(found, IPv4Interface) else None

    @property
    def ipv6(self) -> IPv6Interface | None:
        found = self._value("IPv6Address", fields.interface)
        return found if isinstance(found, IPv6Interface) else None

    @property
    def internal_addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """What Kubernetes knows as the node's InternalIPs."""
        texts = (one.get("address") for one in self._listed("addresses") if one.get("type") == "InternalIP")
        found = (_read(fields.address, text) for text in texts if isinstance(text, str))
        return tuple(address for address in found if address is not None)

    @property
    def ready(self) -> str:
        """What the condition Ready says: `True`, `False` or `Unknown`; "" = nobody has said anything of it."""
        return next(
            (str(one.get("status") or "") for one in self._listed("conditions") if one.get("type") == "Ready"), ""
        )

    @property
    def network_condition(self) -> Mapping[str, Any] | None:
        """The record of the condition NetworkUnavailable; None: nobody has said anything of the node's network."""
        return next((one for one in self._listed("conditions") if one.get("type") == NETWORK_UNAVAILABLE), None)

    @property
    def network_unavailable(self) -> NodeCondition | None:
        """What the condition NetworkUnavailable says, if there is one."""
        found = self.network_condition
        return None if found is None else NodeCondition(*(str(found.get(key) or "") for key in NodeCondition._fields))

    def with_network_unavailable(self, condition: NodeCondition, now: str) -> Self:
        """Return a copy whose condition NetworkUnavailable says this; the others stay. now: as Kubernetes writes it."""
        before = self.network_condition
        same = before is not None and before.get("status") == condition.status
        since = before.get("lastTransitionTime") if before is not None and same else None
        written = {
            "type": NETWORK_UNAVAILABLE,
            **condition._asdict(),
            "lastHeartbeatTime": now,
            "lastTransitionTime": since or now,
        }
        others = [one for one in self._listed("conditions") if one is not before]
        status = (self.model_extra or {}).get("status") or {}
        return self.model_copy(update={"status": {**status, "conditions": [*others, written]}})

    def _listed(self, name: str) -> list[Mapping[str, Any]]:
        """Return the mappings of a list in the status."""
        match self.model_extra:
            case {"status": {**status}}:
                listed = status.get(name)
                return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            case _:
                return []

    @property
    def pod_cidrs(self) -> tuple[Network, ...]:
        """The networks that Kubernetes gave the node for its pods; one that is none counts as absent."""
        texts = self.spec.pod_cidrs or ((self.spec.pod_cidr,) if self.spec.pod_cidr else ())
        return tuple(found for text in texts if (found := _read(fields.network, text)) is not None)

    @property
    def as_number(self) -> int | None:
        """This node's own AS; None: the cluster's."""
        return self._value("ASNumber", fields.as_number)

    @property
    def cluster_id(self) -> IPv4Address | None:
        """The cluster this node reflects routes for; None: it is no route reflector."""
        found = self._value("RouteReflectorClusterID", fields.address)
        return found if isinstance(found, IPv4Address) else None

    def tunnel_address(self, kind: TunnelKind) -> IPv4Address | IPv6Address | None:
        found = self._value(TUNNEL_ANNOTATIONS[kind].removeprefix(ANNOTATION_PREFIX), fields.address)
        return found if found is not None and found.version == (6 if kind.endswith("v6") else 4) else None

    @property
    def tunnel_addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses of all its tunnels."""
        return tuple(found for kind in TUNNEL_ANNOTATIONS if (found := self.tunnel_address(kind)) is not None)

    @property
    def labels(self) -> Mapping[str, str]:
        """Kubernetes' labels and those only Calico knows; Kubernetes' win."""
        return {**_json_texts(self.metadata.annotations.get(f"{ANNOTATION_PREFIX}labels")), **super().labels}

    def with_data(self, **values: str | None) -> Self:
        """Return a copy with these annotations, named without prefix (`IPv4Address="192.0.2.1/24"`).

        An empty or missing value removes its annotation, as Calico does; other annotations stay as they are.
        """
        changes = {f"{ANNOTATION_PREFIX}{name}": value for name, value in values.items()}
        merged = {**self.metadata.annotations, **changes}
        kept = {key: value for key, value in merged.items() if value or key not in changes}
        return self.with_metadata(annotations=kept)

    def _value(self, name: str, reading: Callable[[str], V]) -> V | None:
        written = written_value(name, self.metadata.annotations, self.spec.model_extra)
        return _read(reading, written) if written else None


def _read(reading: Callable[[str], V], text: str) -> V | None:
    try:
        return reading(text)
    except (ValueError, RecursionError):
        return None


def _json_texts(text: str | None) -> dict[str, str]:
    found = _read(json.loads, text or "{}")
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
