"""The kinds of resource that the command line knows: their names, their tables, who writes them.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from datastore.defaults import DEFAULT_AS_NUMBER
from felixctl.resources.columns import (
    AFFINITY,
    BGP_CONFIGURATION,
    BLOCK,
    CLUSTER,
    ENDPOINT,
    FILTER,
    HANDLE,
    HOST_ENDPOINT,
    IPAM_CONFIGURATION,
    KUBERNETES_POLICY_WIDE,
    NAME,
    NETWORK_SET_WIDE,
    NODE_STATUS,
    PEER,
    POLICY,
    POLICY_WIDE,
    POOL_SELECTOR,
    TIER,
    Column,
    View,
    field_at,
    max_blocks,
    nats,
    node_as,
    number,
    spec_field,
)


class Noun(NamedTuple):
    """One kind of resource as the command line knows it."""

    kind: str
    """As users write it in a file."""
    aliases: tuple[str, ...]
    columns: tuple[Column, ...]
    wide: tuple[Column, ...]
    stored_kind: str
    """As the datastore calls it."""
    namespaced: bool = False
    written_by: str | None = None
    """What alone writes this kind; None: users do."""

    @property
    def plural(self) -> str:
        """What the command line's help calls it."""
        return self.aliases[0]


CALICO_ONLY = ("Profile",)
"""Kinds that calicoctl knows and felixctl does not: a profile is computed from Namespaces and accounts."""
_CALICOS_WORDS = {word for kind in CALICO_ONLY for word in (kind.lower(), f"{kind.lower()}s")}


class UnknownKindError(Exception):
    """There is no such kind; the message names the nearest."""


def noun(word: str) -> Noun:
    """Return the kind called `word`: singular, plural or short, in upper or lower case."""
    try:
        return _BY_WORD[word.lower()]
    except KeyError:
        if word.lower() in _CALICOS_WORDS:
            raise UnknownKindError(_of_calico(word)) from None
        raise UnknownKindError(_unknown(word, _BY_WORD, [noun.plural for noun in NOUNS])) from None


def noun_of_kind(kind: str) -> Noun:
    """Return the kind that a file calls `kind`, spelled exactly so, as everywhere in Kubernetes."""
    for candidate in NOUNS:
        if kind in (candidate.kind, candidate.stored_kind):
            return candidate
    if kind in CALICO_ONLY:
        raise UnknownKindError(_of_calico(kind))
    kinds = [noun.kind for noun in NOUNS]
    raise UnknownKindError(_unknown(kind, kinds, kinds))


def _of_calico(word: str) -> str:
    return f"resource kind {word!r} of Calico is not supported"


def _unknown(word: str, known: Iterable[str], listed: Sequence[str]) -> str:
    from difflib import get_close_matches  # imported late: only a mistake needs it

    near = get_close_matches(word, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(listed)}"
    return f"resource kind {word!r} is not known: {hint}"


def columns(noun: Noun, *, wide: bool, namespaces: bool = False) -> tuple[Column, ...]:
    """Return the columns of a table; with `namespaces`, that column comes first (for kinds that have one)."""
    found = noun.wide if wide else noun.columns
    return (Column("NAMESPACE", field_at("metadata", "namespace")), *found) if namespaces and noun.namespaced else found


def row(columns: Iterable[Column], view: View, cluster_as: int) -> tuple[str, ...]:
    """Return the cells of a resource's line."""
    return tuple([column.cell(view, cluster_as) for column in columns])


def headings(columns: Iterable[Column]) -> tuple[str, ...]:
    return tuple(column.heading for column in columns)


def table(
    noun: Noun, views: Iterable[View], *, wide: bool, namespaces: bool = False, cluster_as: int = DEFAULT_AS_NUMBER
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows."""
    shown = columns(noun, wide=wide, namespaces=namespaces)
    return headings(shown), [row(shown, view, cluster_as) for view in views]


def order(noun: Noun, view: View) -> tuple[str | float, ...]:
    """Return what a list of this kind is sorted by: endpoints by pod, tiers by their order, all else by name."""
    metadata, spec = view["metadata"], view.get("spec") or {}
    first: str | float = ""
    if noun.kind == "WorkloadEndpoint":
        first = spec.get("pod") or ""
    elif noun.kind == "Tier":
        first = number(spec.get("order"), math.inf)  # a tier without an order comes last
    return (metadata.get("namespace") or "", first, metadata["name"])


NOUNS = (
    Noun(
        "Node",
        ("nodes", "node", "no"),
        (NAME,),
        (
            NAME,
            Column("ASN", node_as),
            Column("IPV4", field_at("spec", "bgp", "ipv4Address")),
            Column("IPV6", field_at("spec", "bgp", "ipv6Address")),
        ),
        "Node",
    ),
    Noun(
        "IPPool",
        ("ippools", "ippool", "ipp", "pool", "pools"),
        (NAME, Column("CIDR", spec_field("cidr")), POOL_SELECTOR),
        (
            NAME,
            Column("CIDR", spec_field("cidr")),
            Column("NAT", spec_field("natOutgoing", "false")),
            Column("IPIPMODE", spec_field("ipipMode", "Never")),
            Column("VXLANMODE", spec_field("vxlanMode", "Never")),
            Column("DISABLED", spec_field("disabled", "false")),
            Column("DISABLEBGPEXPORT", spec_field("disableBGPExport", "false")),
            POOL_SELECTOR,
            Column("ASSIGNMENTMODE", spec_field("assignmentMode", "Automatic")),
        ),
        "IPPool",
    ),
    Noun("BGPPeer", ("bgppeers", "bgppeer", "bgpp", "bp"), PEER, PEER, "BGPPeer"),
    Noun(
        "BGPConfiguration",
        ("bgpconfigurations", "bgpconfiguration", "bgpconfig", "bgpconfigs"),
        BGP_CONFIGURATION,
        BGP_CONFIGURATION,
        "BGPConfiguration",
    ),
    Noun("BGPFilter", ("bgpfilters", "bgpfilter", "bgpf", "bf"), FILTER, FILTER, "BGPFilter"),
    Noun(
        "ClusterInformation",
        ("clusterinformations", "clusterinformation", "clusterinfo", "clusterinfos"),
        CLUSTER,
        CLUSTER,
        "ClusterInformation",
    ),
    Noun(
        "FelixConfiguration",
        ("felixconfigurations", "felixconfiguration", "felixconfig", "felixconfigs"),
        (NAME,),
        (NAME,),
        "FelixConfiguration",
    ),
    Noun(
        "IPAMConfiguration",
        ("ipamconfigurations", "ipamconfiguration", "ipamconfig", "ipamconfigs"),
        IPAM_CONFIGURATION,
        (*IPAM_CONFIGURATION, Column("MAXBLOCKSPERHOST", max_blocks)),
        "IPAMConfig",
    ),
    Noun(
        "IPReservation",
        ("ipreservations", "ipreservation", "reservations", "reservation"),
        (NAME,),
        (NAME, Column("CIDRS", spec_field("reservedCIDRs"))),
        "IPReservation",
    ),
    Noun(
        "KubeControllersConfiguration",
        (
            "kubecontrollersconfigurations",
            "kubecontrollersconfiguration",
            "kubecontrollersconfig",
            "kubecontrollersconfigs",
        ),
        (NAME,),
        (NAME,),
        "KubeControllersConfiguration",
    ),
    Noun(
        "WorkloadEndpoint",
        ("workloadendpoints", "workloadendpoint", "weps", "wep"),
        ENDPOINT,
        (NAME, *ENDPOINT, Column("PROFILES", spec_field("profiles")), Column("NATS", nats)),
        "WorkloadEndpoint",
        namespaced=True,
    ),
    Noun(
        "HostEndpoint",
        ("hostendpoints", "hostendpoint", "heps", "hep"),
        HOST_ENDPOINT,
        (
            *HOST_ENDPOINT,
            Column("INTERFACE", spec_field("interfaceName")),
            Column("IPS", spec_field("expectedIPs")),
            Column("PROFILES", spec_field("profiles")),
        ),
        "HostEndpoint",
    ),
    Noun("Tier", ("tiers", "tier"), TIER, TIER, "Tier"),
    Noun(
        "GlobalNetworkPolicy",
        ("globalnetworkpolicies", "globalnetworkpolicy", "gnps", "gnp"),
        POLICY,
        POLICY_WIDE,
        "GlobalNetworkPolicy",
    ),
    Noun(
        "NetworkPolicy",
        ("networkpolicies", "networkpolicy", "np", "policies", "policy", "pols", "pol"),
        POLICY,
        POLICY_WIDE,
        "NetworkPolicy",
        namespaced=True,
    ),
    Noun(
        "StagedGlobalNetworkPolicy",
        ("stagedglobalnetworkpolicies", "stagedglobalnetworkpolicy", "sgnps", "sgnp"),
        POLICY,
        POLICY_WIDE,
        "StagedGlobalNetworkPolicy",
    ),
    Noun(
        "StagedNetworkPolicy",
        (
            *("stagednetworkpolicies", "stagednetworkpolicy", "snp", "stagedpolicies", "stagedpolicy"),
            *("spols", "spol"),
        ),
        POLICY,
        POLICY_WIDE,
        "StagedNetworkPolicy",
        namespaced=True,
    ),
    Noun(
        "StagedKubernetesNetworkPolicy",
        (
            *("stagedkubernetesnetworkpolicies", "stagedkubernetesnetworkpolicy", "sknp"),
            *("stagedkubernetespolicies", "stagedkubernetespolicy", "skpols", "skpol"),
        ),
        (NAME,),
        KUBERNETES_POLICY_WIDE,
        "StagedKubernetesNetworkPolicy",
        namespaced=True,
    ),
    Noun(
        "GlobalNetworkSet",
        ("globalnetworksets", "globalnetworkset", "gnetsets", "gnetset"),
        (NAME,),
        NETWORK_SET_WIDE,
        "GlobalNetworkSet",
    ),
    Noun(
        "NetworkSet",
        ("networksets", "networkset", "netsets", "netset"),
        (NAME,),
        NETWORK_SET_WIDE,
        "NetworkSet",
        namespaced=True,
    ),
    Noun(
        "CalicoNodeStatus",
        ("caliconodestatuses", "caliconodestatus", "nodestatuses", "nodestatus"),
        NODE_STATUS,
        (*NODE_STATUS, Column("CLASSES", spec_field("classes"))),
        "CalicoNodeStatus",
    ),
    Noun(
        "BlockAffinity",
        ("blockaffinities", "blockaffinity", "affinities", "affinity"),
        AFFINITY,
        AFFINITY,
        "BlockAffinity",
        written_by="IPAM",
    ),
    Noun("IPAMBlock", ("ipamblocks", "ipamblock", "blocks", "block"), BLOCK, BLOCK, "IPAMBlock", written_by="IPAM"),
    Noun(
        "IPAMHandle",
        ("ipamhandles", "ipamhandle", "handles", "handle"),
        HANDLE,
        HANDLE,
        "IPAMHandle",
        written_by="IPAM",
    ),
)

_BY_WORD = {word: noun for noun in NOUNS for word in (noun.kind.lower(), *noun.aliases)}
