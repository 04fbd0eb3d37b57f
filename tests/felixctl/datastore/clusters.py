"""A cluster with something of every kind that an export has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datastore.kinds.bgp import BGPConfiguration, BGPFilter, BGPPeer
from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import Node
from datastore.kinds.passthrough import PASSTHROUGH
from datastore.kinds.pools import IPReservation
from datastore.record import CRD, Resource
from datastore.resources import read
from tests.felixctl.golden import records
from tests.felixctl.ipam.cluster import ENDPOINTS, calico_records

TOMORROW = {"a field of tomorrow": {"z": 1, "a": [None, False, "on"]}}
FOLDED = (
    '{"labels":{"team":"net","no":"on"},"annotations":{"why":"kept","odd":"\\u001b[2J"},"creationTimestamp":'
    '"2026-01-02T03:04:05Z"}'
)
"""The metadata of an object as libcalico writes it into one annotation."""


def one_of_each() -> list[Resource]:
    """Return Calico's own records with their endpoints, and an object of each kind that is not among them."""
    found = [*calico_records(), *(read(record) for record in records("crs/ipamconfigs.yaml")), *ENDPOINTS]
    found = [one.with_spec(datastore_ready=False) if one.KIND == "ClusterInformation" else one for one in found]
    kinds: tuple[type[Resource], ...] = (
        BGPPeer,
        BGPConfiguration,
        BGPFilter,
        FelixConfiguration,
        IPReservation,
        *PASSTHROUGH.values(),
    )
    return [*found, *(_with_all(kind) for kind in kinds)]


def _with_all(kind: type[Resource]) -> Resource:
    metadata: dict[str, Any] = {"name": "one", "annotations": {"projectcalico.org/metadata": FOLDED}}
    if kind.NAMESPACED:
        metadata["namespace"] = "default"
    spec: dict[str, Any] = {"node": "node-1", "cidr": "x"} if kind.KIND in ("HostEndpoint", "CalicoNodeStatus") else {}
    return kind.read({"apiVersion": CRD, "kind": kind.KIND, "metadata": metadata, "spec": {**spec, **TOMORROW}})


def bare_nodes(resources: Sequence[Resource]) -> list[Resource]:
    """Return the Nodes as a kubelet makes them: with labels of Kubernetes', and nothing of Calico's."""
    return [Node.make(one.name, labels=dict(one.metadata.labels)) for one in resources if isinstance(one, Node)]
