"""Kinds that are kept for others: read, listed, watched and written back unchanged, and acted on by nothing here.

Pure. Policies are among them: they are kept, and not enforced.
"""

from __future__ import annotations

from typing import ClassVar

from datastore.record import Resource


class CalicoNodeStatus(Resource):
    KIND: ClassVar[str] = "CalicoNodeStatus"
    PLURAL: ClassVar[str] = "caliconodestatuses"


class KubeControllersConfiguration(Resource):
    KIND: ClassVar[str] = "KubeControllersConfiguration"
    PLURAL: ClassVar[str] = "kubecontrollersconfigurations"


class HostEndpoint(Resource):
    KIND: ClassVar[str] = "HostEndpoint"
    PLURAL: ClassVar[str] = "hostendpoints"


class Tier(Resource):
    KIND: ClassVar[str] = "Tier"
    PLURAL: ClassVar[str] = "tiers"


class GlobalNetworkPolicy(Resource):
    KIND: ClassVar[str] = "GlobalNetworkPolicy"
    PLURAL: ClassVar[str] = "globalnetworkpolicies"


class NetworkPolicy(Resource):
    KIND: ClassVar[str] = "NetworkPolicy"
    PLURAL: ClassVar[str] = "networkpolicies"
    NAMESPACED: ClassVar[bool] = True


class StagedGlobalNetworkPolicy(Resource):
    KIND: ClassVar[str] = "StagedGlobalNetworkPolicy"
    PLURAL: ClassVar[str] = "stagedglobalnetworkpolicies"


class StagedNetworkPolicy(Resource):
    KIND: ClassVar[str] = "StagedNetworkPolicy"
    PLURAL: ClassVar[str] = "stagednetworkpolicies"
    NAMESPACED: ClassVar[bool] = True


class StagedKubernetesNetworkPolicy(Resource):
    KIND: ClassVar[str] = "StagedKubernetesNetworkPolicy"
    PLURAL: ClassVar[str] = "stagedkubernetesnetworkpolicies"
    NAMESPACED: ClassVar[bool] = True


class GlobalNetworkSet(Resource):
    KIND: ClassVar[str] = "GlobalNetworkSet"
    PLURAL: ClassVar[str] = "globalnetworksets"


class NetworkSet(Resource):
    KIND: ClassVar[str] = "NetworkSet"
    PLURAL: ClassVar[str] = "networksets"
    NAMESPACED: ClassVar[bool] = True
