"""Which fields of a resource are accepted and not obeyed, for every kind.

Pure. Each package has the rules of the kinds that it acts on; here are those of the other kinds, and the choice of the
rules for an object. Every field of every kind has a rule: a test fails for a new field without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bgp import notices as bgp
from bgp.peer_annotations import UNKNOWN as UNKNOWN_ANNOTATION
from datastore.field_rules import OBEYED, FieldRules, NotObeyed, When, notice_of
from datastore.kinds.bgp import BGPConfiguration, BGPFilter, BGPPeer
from datastore.kinds.cluster import IMPORT_MARK, ClusterInformation, FelixConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.kinds.network_policy import KubernetesNetworkPolicy
from datastore.kinds.node import CLAIM, HOST, OWN_PREFIX, Node
from datastore.kinds.passthrough import PASSTHROUGH
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool, IPReservation
from datastore.notices import Notice
from datastore.record import Resource
from felix_py.configuration import felix_configuration
from ipam import notices as ipam


def notices_of(resource: Resource, *, has_namespaces: bool = False) -> tuple[Notice, ...]:
    """Return what this object sets and what is not obeyed, in the order of its fields.

    has_namespaces: whether its datastore has Namespaces, with labels, and the Secrets in them: as Kubernetes has.
    """
    return (*_of_kind(resource, has_namespaces=has_namespaces), *_of_own_annotations(resource))


def _of_kind(resource: Resource, *, has_namespaces: bool) -> tuple[Notice, ...]:
    match resource:
        case IPPool():
            return ipam.pool_notices(resource, has_namespaces=has_namespaces)
        case IPReservation():
            return ipam.reservation_notices(resource)
        case IPAMConfig():
            return ipam.configuration_notices(resource)
        case BGPConfiguration():
            return bgp.configuration_notices(resource, has_secrets=has_namespaces)
        case BGPPeer():
            return bgp.peer_notices(resource, has_secrets=has_namespaces)
        case KubernetesNetworkPolicy():
            return _POLICY.notices(resource)
        case Node():
            return (*NODE.notices(resource), *bgp.node_notices(resource))
        case _:
            return RULES[type(resource)].notices(resource)


def _of_own_annotations(resource: Resource) -> Iterator[Notice]:
    """Yield a notice for each annotation in our name that nothing reads on an object of this kind."""
    if isinstance(resource, _JUDGED_ELSEWHERE):
        return
    known = _OWN_ANNOTATIONS.get(type(resource), ())
    for name in resource.metadata.annotations:
        if name.startswith(OWN_PREFIX) and name not in known:
            yield notice_of(resource, f"metadata.annotations[{name}]", UNKNOWN_ANNOTATION)


_OWN_ANNOTATIONS: Mapping[type[Resource], tuple[str, ...]] = {Node: (HOST, CLAIM), ClusterInformation: (IMPORT_MARK,)}
_JUDGED_ELSEWHERE = (BGPPeer, BGPConfiguration, WorkloadEndpoint)
"""By `bgp.notices`; and programs alone write an endpoint."""


def _names_other_profiles(profiles: tuple[str, ...]) -> bool:
    """Whether there are profiles beside those that stand for the pod's namespace and service account."""
    return not all(profile.startswith(("kns.", "ksa.")) for profile in profiles)


CLUSTER_INFORMATION = FieldRules(
    {
        "spec.clusterGUID": OBEYED,
        "spec.clusterType": OBEYED,
        "spec.calicoVersion": OBEYED,
        "spec.datastoreReady": OBEYED,
        "spec.variant": OBEYED,
    },
    read_names=("default",),
)

NODE = FieldRules(
    {"spec.podCIDR": OBEYED, "spec.podCIDRs": OBEYED},
    reports_unknown=False,  # most of a Node is Kubernetes' own
)
"""Networks that Kubernetes gives a node are facts: pods get addresses from IPPools, whatever they say."""

WORKLOAD_ENDPOINT = FieldRules(
    {
        "spec.orchestrator": OBEYED,
        "spec.workload": OBEYED,
        "spec.node": OBEYED,
        "spec.containerID": OBEYED,
        "spec.pod": OBEYED,
        "spec.endpoint": OBEYED,
        "spec.serviceAccountName": OBEYED,
        "spec.ipNetworks": OBEYED,
        "spec.ipv4Gateway": NotObeyed("a pod's gateway is 169.254.1.1", "that is what the pod has"),
        "spec.ipv6Gateway": NotObeyed("a pod's gateway is its device's link-local address", "that is what the pod has"),
        "spec.profiles": NotObeyed(
            "policies are not enforced",
            "no packet is filtered",
            when=When("any but kns.… and ksa.…", _names_other_profiles),
        ),
        "spec.interfaceName": OBEYED,
        "spec.mac": OBEYED,
        "spec.allowedSourcePrefixes": NotObeyed(
            "source addresses of pods are not checked", "the pod may send from any address"
        ),
    },
    other_fields={
        "spec.ports": OBEYED,
        "spec.generateName": OBEYED,
        "spec.ipNATs": NotObeyed("floating IPs are not implemented", "no packet reaches the pod by one"),
        "spec.qosControls": NotObeyed("traffic is not shaped", "the pod sends and receives at full speed"),
    },
)

_POLICY = FieldRules(whole=NotObeyed("policies are not enforced", "it is stored, and no packet is filtered by it"))
_STAGED = FieldRules(whole=NotObeyed("policies are not implemented", "it is stored, and nothing reports its effect"))
_SET = FieldRules(whole=NotObeyed("policies are not enforced", "it is stored, and no policy looks at it"))

_STORED_ONLY: Mapping[str, FieldRules] = {
    "GlobalNetworkPolicy": _POLICY,
    "NetworkPolicy": _POLICY,
    "Tier": _POLICY,
    "StagedGlobalNetworkPolicy": _STAGED,
    "StagedNetworkPolicy": _STAGED,
    "StagedKubernetesNetworkPolicy": _STAGED,
    "GlobalNetworkSet": _SET,
    "NetworkSet": _SET,
    "HostEndpoint": FieldRules(
        whole=NotObeyed("host endpoints are not implemented", "it is stored, and no packet of the host is filtered")
    ),
    "KubeControllersConfiguration": FieldRules(
        whole=NotObeyed(
            "the controller reads leakGracePeriod of the controller node alone, where FELIX_LEAKGRACEPERIOD is unset",
            "the rest is stored and has no effect",
        )
    ),
    "CalicoNodeStatus": FieldRules(
        whole=NotObeyed(
            "status is not reported into the datastore", "it is stored; `felixctl node status` shows the agent's"
        )
    ),
}

RULES: Mapping[type[Resource], FieldRules] = {
    IPPool: ipam.POOL,
    IPReservation: ipam.RESERVATION,
    IPAMConfig: ipam.CONFIGURATION,
    BlockAffinity: ipam.AFFINITY,
    IPAMBlock: ipam.BLOCK,
    IPAMHandle: ipam.HANDLE,
    BGPConfiguration: bgp.CONFIGURATION,
    BGPPeer: bgp.PEER,
    BGPFilter: bgp.FILTER,
    ClusterInformation: CLUSTER_INFORMATION,
    FelixConfiguration: felix_configuration.RULES,
    Node: NODE,
    WorkloadEndpoint: WORKLOAD_ENDPOINT,
    **{kind: _STORED_ONLY[name] for name, kind in PASSTHROUGH.items()},
}

WATCHED_FOR_NOTICES: tuple[type[Resource], ...] = (
    BGPFilter,
    *(PASSTHROUGH[name] for name in ("GlobalNetworkPolicy", "HostEndpoint", "NetworkPolicy")),
)
"""Kinds on which an agent does not act, though their objects are meant to restrict traffic or routes."""
