"""Kinds that are stored for others: read, listed, watched and written back unchanged, and acted on by nothing here.

Pure. Policies are among them: they are stored, and not enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import new_class
from typing import cast

from datastore.record import Resource

_PLURALS: Mapping[str, str] = {
    "CalicoNodeStatus": "caliconodestatuses",
    "GlobalNetworkPolicy": "globalnetworkpolicies",
    "GlobalNetworkSet": "globalnetworksets",
    "HostEndpoint": "hostendpoints",
    "KubeControllersConfiguration": "kubecontrollersconfigurations",
    "NetworkPolicy": "networkpolicies",
    "NetworkSet": "networksets",
    "StagedGlobalNetworkPolicy": "stagedglobalnetworkpolicies",
    "StagedKubernetesNetworkPolicy": "stagedkubernetesnetworkpolicies",
    "StagedNetworkPolicy": "stagednetworkpolicies",
    "Tier": "tiers",
}
_NAMESPACED = {"NetworkPolicy", "NetworkSet", "StagedKubernetesNetworkPolicy", "StagedNetworkPolicy"}


def _kind(name: str, plural: str) -> type[Resource]:
    namespace = {"__module__": __name__, "KIND": name, "PLURAL": plural, "NAMESPACED": name in _NAMESPACED}
    return cast(type[Resource], new_class(name, (Resource,), exec_body=lambda body: body.update(namespace)))


PASSTHROUGH: Mapping[str, type[Resource]] = {name: _kind(name, plural) for name, plural in _PLURALS.items()}
"""The kinds by name."""
