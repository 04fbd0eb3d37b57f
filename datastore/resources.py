"""Every kind of resource, under one roof: import kinds from here.

Pure. A record becomes a value once, at the border (`read`), and is written back as it was read.
"""

from __future__ import annotations

from collections.abc import Mapping

from datastore.blocks import (
    AllocationAttribute,
    BlockAffinity,
    BlockAffinitySpec,
    IPAMBlock,
    IPAMBlockSpec,
    IPAMConfig,
    IPAMConfigSpec,
    IPAMHandle,
    IPAMHandleSpec,
)
from datastore.cluster import (
    TUNNEL_ANNOTATIONS,
    ClusterInformation,
    ClusterInformationSpec,
    FelixConfiguration,
    FelixConfigurationSpec,
    Node,
    NodeSpec,
    TunnelKind,
    WorkloadEndpoint,
    WorkloadEndpointSpec,
)
from datastore.errors import Invalid
from datastore.kept import (
    CalicoNodeStatus,
    GlobalNetworkPolicy,
    GlobalNetworkSet,
    HostEndpoint,
    KubeControllersConfiguration,
    NetworkPolicy,
    NetworkSet,
    StagedGlobalNetworkPolicy,
    StagedKubernetesNetworkPolicy,
    StagedNetworkPolicy,
    Tier,
)
from datastore.peering import (
    BGPConfiguration,
    BGPConfigurationSpec,
    BGPFilter,
    BGPFilterSpec,
    BGPPeer,
    BGPPeerSpec,
    FilterRule,
    Password,
)
from datastore.pools import (
    IPPool,
    IPPoolSpec,
    IPReservation,
    IPReservationSpec,
    Use,
    forbidden_changes,
    misfitting_blocks,
    overlap,
    overlapping_pools,
)
from datastore.record import CRD, V3, Metadata, Record, Resource, Spec

__all__ = [
    "CRD",
    "KINDS",
    "TUNNEL_ANNOTATIONS",
    "V3",
    "AllocationAttribute",
    "BGPConfiguration",
    "BGPConfigurationSpec",
    "BGPFilter",
    "BGPFilterSpec",
    "BGPPeer",
    "BGPPeerSpec",
    "BlockAffinity",
    "BlockAffinitySpec",
    "CalicoNodeStatus",
    "ClusterInformation",
    "ClusterInformationSpec",
    "FelixConfiguration",
    "FelixConfigurationSpec",
    "FilterRule",
    "GlobalNetworkPolicy",
    "GlobalNetworkSet",
    "HostEndpoint",
    "IPAMBlock",
    "IPAMBlockSpec",
    "IPAMConfig",
    "IPAMConfigSpec",
    "IPAMHandle",
    "IPAMHandleSpec",
    "IPPool",
    "IPPoolSpec",
    "IPReservation",
    "IPReservationSpec",
    "KubeControllersConfiguration",
    "Metadata",
    "NetworkPolicy",
    "NetworkSet",
    "Node",
    "NodeSpec",
    "Password",
    "Record",
    "Resource",
    "Spec",
    "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    "StagedNetworkPolicy",
    "Tier",
    "TunnelKind",
    "Use",
    "WorkloadEndpoint",
    "WorkloadEndpointSpec",
    "forbidden_changes",
    "kind_named",
    "misfitting_blocks",
    "overlap",
    "overlapping_pools",
    "read",
]

KINDS: Mapping[str, type[Resource]] = {
    kind.KIND: kind
    for kind in (
        IPPool,
        IPReservation,
        BGPConfiguration,
        BGPPeer,
        BGPFilter,
        IPAMConfig,
        BlockAffinity,
        IPAMBlock,
        IPAMHandle,
        ClusterInformation,
        Node,
        WorkloadEndpoint,
        FelixConfiguration,
        KubeControllersConfiguration,
        CalicoNodeStatus,
        HostEndpoint,
        Tier,
        GlobalNetworkPolicy,
        NetworkPolicy,
        StagedGlobalNetworkPolicy,
        StagedNetworkPolicy,
        StagedKubernetesNetworkPolicy,
        GlobalNetworkSet,
        NetworkSet,
    )
}

_BY_ANY_NAME = {name: kind for kind in KINDS.values() for name in (kind.KIND, *kind.ALIASES)}


def kind_named(name: str) -> type[Resource]:
    """Return the kind that a record's `kind` names, by any of its names.

    Raises Invalid: there is none.
    """
    try:
        return _BY_ANY_NAME[name]
    except KeyError:
        raise Invalid(f'kind "{name}" is not known: known are {", ".join(sorted(KINDS))}') from None


def read(record: object) -> Resource:
    """Return the object that a decoded record says; its `kind` decides which.

    Raises Invalid: it has no known kind, or something in it is wrong (each thing in one clause).
    """
    match record:
        case {"kind": str(name)}:
            return kind_named(name).read(record)
        case {}:
            raise Invalid("read a record: it has no kind")
        case _:
            raise Invalid(f"read a record: it is not a mapping but {type(record).__name__}")
