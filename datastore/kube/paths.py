"""Which part of the Kubernetes API has the objects of a kind, and how it filters them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from datastore.kinds.config_map import ConfigMap
from datastore.kinds.event import Event
from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.lease import Lease
from datastore.kinds.namespace import Namespace
from datastore.kinds.network_policy import KubernetesNetworkPolicy
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.secret import Secret
from datastore.kube.folded_metadata import is_matched_by_servers
from datastore.record import V3, Resource
from datastore.store import Interest

Query = Mapping[str, str]

CORE = "v1"
_CORE: Mapping[type[Resource], str] = {
    Node: "nodes",
    WorkloadEndpoint: "pods",
    Namespace: "namespaces",
    ConfigMap: "configmaps",
    Event: "events",
    Secret: "secrets",
    KubernetesNetworkPolicy: "networkpolicies",
    Lease: "leases",
}
"""Kinds that Calico has no resource for: they are read from objects of Kubernetes' own."""
_GROUPS: Mapping[type[Resource], str] = {kind: kind.API_VERSION for kind in (KubernetesNetworkPolicy, Lease)}
"""Group and version of those that are not in Kubernetes' core."""
_NODE_FIELDS: Mapping[type[Resource], str] = {Node: "metadata.name", WorkloadEndpoint: "spec.nodeName"}
"""What selects the objects of a node, where the API server can."""


_OTHER_IN_V3: Mapping[type[Resource], tuple[str, str]] = {IPAMConfig: ("IPAMConfiguration", "ipamconfigurations")}
"""Kind and plural of what has another name where the v3 API is served itself."""


def written_version(kind: type[Resource], group_version: str) -> str:
    """Return the `apiVersion` that a record says. group_version: that of Calico's custom resources."""
    return group_version if is_custom(kind) else kind.API_VERSION


def kind_name(kind: type[Resource], group_version: str) -> str:
    """Return the `kind` that a record says."""
    return _OTHER_IN_V3[kind][0] if group_version == V3 and kind in _OTHER_IN_V3 else kind.KIND


def is_custom(kind: type[Resource]) -> bool:
    """Whether objects of this kind are custom resources of Calico's."""
    return kind not in _CORE


def collection(kind: type[Resource], group_version: str, namespace: str | None = None) -> str:
    """Return the path of all objects of a kind, or of one namespace's.

    group_version: that of Calico's custom resources in this cluster, `crd.projectcalico.org/v1` for most.
    """
    group = group_version if is_custom(kind) else _GROUPS.get(kind)
    root = f"/apis/{group}" if group else f"/api/{CORE}"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace and kind.NAMESPACED else ""
    plural = _OTHER_IN_V3[kind][1] if group_version == V3 and kind in _OTHER_IN_V3 else kind.PLURAL
    return f"{root}{within}/{_CORE.get(kind, plural)}"


def item(kind: type[Resource], group_version: str, name: str, namespace: str | None = None) -> str:
    """Return the path of one object. For an endpoint `name` is its pod's."""
    return f"{collection(kind, group_version, namespace)}/{quote(name, safe='')}"


def selectors(interest: Interest[Any]) -> dict[str, str]:
    """Return the query by which the API server leaves out what an interest does not mean, as far as it can."""
    query = {}
    labels = {key: text for key, text in interest.labels.items() if is_matched_by_servers(key)}
    if labels and is_custom(interest.kind):
        query["labelSelector"] = ",".join(f"{key}={text}" for key, text in sorted(labels.items()))
    fields = []
    if interest.name is not None and interest.kind is not WorkloadEndpoint:  # its name is not its pod's
        fields.append(f"metadata.name={interest.name}")
    if interest.node is not None and (field := _NODE_FIELDS.get(interest.kind)):
        fields.append(f"{field}={interest.node}")
    if fields:
        query["fieldSelector"] = ",".join(fields)
    return query


def with_query(path: str, query: Query) -> str:
    return f"{path}?{urlencode(query)}" if query else path
