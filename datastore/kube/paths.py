"""Which part of the Kubernetes API has the objects of a kind, and how it filters them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from datastore.store import Interest

Query = Mapping[str, str]

CORE = "v1"
_CORE: Mapping[type[Resource], str] = {Node: "nodes", WorkloadEndpoint: "pods"}
"""Kinds that Calico has no resource for: they are read from objects of Kubernetes' own."""
_NODE_FIELDS: Mapping[type[Resource], str] = {Node: "metadata.name", WorkloadEndpoint: "spec.nodeName"}
"""What selects the objects of a node, where the API server can."""


def is_custom(kind: type[Resource]) -> bool:
    """Whether objects of this kind are custom resources of Calico's."""
    return kind not in _CORE


def collection(kind: type[Resource], group_version: str, namespace: str | None = None) -> str:
    """Return the path of all objects of a kind, or of one namespace's.

    group_version: that of Calico's custom resources in this cluster, `crd.projectcalico.org/v1` for most.
    """
    root = f"/apis/{group_version}" if is_custom(kind) else f"/api/{CORE}"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace and kind.NAMESPACED else ""
    return f"{root}{within}/{_CORE.get(kind, kind.PLURAL)}"


def item(kind: type[Resource], group_version: str, name: str, namespace: str | None = None) -> str:
    """Return the path of one object. For an endpoint `name` is its pod's."""
    return f"{collection(kind, group_version, namespace)}/{quote(name, safe='')}"


def selectors(interest: Interest[Any]) -> dict[str, str]:
    """Return the query by which the API server leaves out what an interest does not mean, as far as it can."""
    query = {}
    if interest.labels and is_custom(interest.kind):
        query["labelSelector"] = ",".join(f"{key}={value}" for key, value in sorted(interest.labels.items()))
    if interest.node is not None and (field := _NODE_FIELDS.get(interest.kind)):
        query["fieldSelector"] = f"{field}={interest.node}"
    return query


def with_query(path: str, query: Query) -> str:
    return f"{path}?{urlencode(query)}" if query else path
