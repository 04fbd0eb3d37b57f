"""A NetworkPolicy of Kubernetes, which is not Calico's of the same name.

Pure. It is read only to say that it is not enforced.
"""

from __future__ import annotations

from typing import ClassVar

from datastore.record import Resource


class KubernetesNetworkPolicy(Resource):
    KIND: ClassVar[str] = "KubernetesNetworkPolicy"
    ALIASES: ClassVar[tuple[str, ...]] = ("NetworkPolicy",)
    PLURAL: ClassVar[str] = "networkpolicies"
    API_VERSION: ClassVar[str] = "networking.k8s.io/v1"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("networking.k8s.io/v1",)
    NAMESPACED: ClassVar[bool] = True
