"""The kinds of resource that the command line knows: their names, their columns, who writes them.

Pure. Cells are read from the shown form of a resource (`felixctl.resources.view`), so the tables need no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from datastore.defaults import DEFAULT_AS_NUMBER

View = Mapping[str, Any]
Cell = Callable[[View, int], str]
"""Return a cell of a resource's row, given the cluster's AS number."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its heading and how to read its cell."""

    heading: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class Noun:
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


class UnknownKindError(Exception):
    """There is no such kind; the message names the nearest."""


def noun(word: str) -> Noun:
    """Return the kind called `word`: singular, plural or short, in upper or lower case."""
    try:
        return _BY_WORD[word.lower()]
    except KeyError:
        raise UnknownKindError(_unknown(word, _BY_WORD, [noun.plural for noun in NOUNS])) from None


def noun_of_kind(kind: str) -> Noun:
    """Return the kind that a file calls `kind`, spelled exactly so, as everywhere in Kubernetes."""
    for candidate in NOUNS:
        if kind in (candidate.kind, candidate.stored_kind):
            return candidate
    kinds = [noun.kind for noun in NOUNS]
    raise UnknownKindError(_unknown(kind, kinds, kinds))


def _unknown(word: str, known: Iterable[str], listed: Sequence[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(listed)}"
    return f"resource kind {word!r} is not known: {hint}"


def table(
    noun: Noun, views: Iterable[View], *, wide: bool, namespaces: bool = False, cluster_as: int = DEFAULT_AS_NUMBER
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return heading and rows; with `namespaces`, that column comes first (for kinds that have one)."""
    columns = noun.wide if wide else noun.columns
    if namespaces and noun.namespaced:
        columns = (Column("NAMESPACE", _at("metadata", "namespace")), *columns)
    rows = [tuple(column.cell(view, cluster_as) for column in columns) for view in views]
    return tuple(column.heading for column in columns), rows


def order(noun: Noun, view: View) -> tuple[str | float, ...]:
    """Return what a list of this kind is sorted by: endpoints by pod, tiers by their order, all else by name."""
    metadata, spec = view["metadata"], view.get("spec") or {}
    first: str | float = ""
    if noun.kind == "WorkloadEndpoint":
        first = spec.get("pod") or ""
    elif noun.kind == "Tier":
        first = spec.get("order", math.inf)  # a tier without an order comes last
    return (metadata.get("namespace") or "", first, metadata["name"])


def _find(view: View, path: Sequence[str]) -> Any:
    value: Any = view
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _at(*path: str, otherwise: str = "") -> Cell:
    """Return a cell that prints the field at `path` as Calico does, `otherwise` where the field is absent."""
    return lambda view, _: _text(_find(view, path), otherwise)


def _spec(field: str, otherwise: str = "") -> Cell:
    return _at("spec", field, otherwise=otherwise)


def _text(value: Any, otherwise: str) -> str:
    match value:
        case None | "":
            return otherwise
        case bool():
            return str(value).lower()
        case list() | tuple():
            return ",".join(_text(item, "") for item in value)
        case _:
            return str(value)


def _count(field: str) -> Cell:
    return lambda view, _: str(len(_find(view, ("spec", field)) or ()))


def _node_as(view: View, cluster_as: int) -> str:
    """Return the node's own AS number, or in parentheses the cluster's; nothing if the node speaks no BGP."""
    bgp = _find(view, ("spec", "bgp"))
    if not bgp:
        return ""
    return str(bgp["asNumber"]) if bgp.get("asNumber") else f"({cluster_as})"


def _peer_node(view: View, _: int) -> str:
    spec = view["spec"]
    return str(spec.get("node") or spec.get("nodeSelector") or "(global)")


def _nats(view: View, _: int) -> str:
    entries = _find(view, ("spec", "ipNATs")) or ()
    return ",".join(f"{entry.get('externalIP')}->{entry.get('internalIP')}" for entry in entries)


def _order(view: View, _: int) -> str:
    """Return an order as Go prints a float: from a million on with an exponent, `1e+06`."""
    order = _find(view, ("spec", "order"))
    if order is None:
        return ""
    if abs(order) < 1e6:
        return f"{order:.15g}"
    digits, exponent = f"{order:.15e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


def _max_blocks(view: View, _: int) -> str:
    return str(_find(view, ("spec", "maxBlocksPerHost")) or 0)


def _in_use(view: View, _: int) -> str:
    allocations = view["spec"]["allocations"]
    return f"{sum(slot is not None for slot in allocations)}/{len(allocations)}"


def _handle_blocks(view: View, _: int) -> str:
    return ",".join(f"{cidr}={count}" for cidr, count in sorted(view["spec"]["block"].items()))


_NAME = Column("NAME", _at("metadata", "name"))
_POOL_SELECTOR = Column("SELECTOR", _spec("nodeSelector", "all()"))
_PEER = (
    _NAME,
    Column("PEERIP", _spec("peerIP")),
    Column("NODE", _peer_node),
    Column("ASN", _spec("asNumber", "0")),
)
_BGP_CONFIGURATION = (
    _NAME,
    Column("LOGSEVERITY", _spec("logSeverityScreen", "-")),
    Column("MESHENABLED", _spec("nodeToNodeMeshEnabled", "-")),
    Column("ASNUMBER", _spec("asNumber", "-")),
)
_FILTER = (
    _NAME,
    Column("NUMEXPORTV4", _count("exportV4")),
    Column("NUMIMPORTV4", _count("importV4")),
    Column("NUMEXPORTV6", _count("exportV6")),
    Column("NUMIMPORTV6", _count("importV6")),
)
_CLUSTER = (
    _NAME,
    Column("CLUSTERGUID", _spec("clusterGUID")),
    Column("CLUSTERTYPE", _spec("clusterType")),
    Column("CALICOVERSION", _spec("calicoVersion")),
    Column("DATASTOREREADY", _spec("datastoreReady", "false")),
)
_IPAM_CONFIGURATION = (
    _NAME,
    Column("STRICTAFFINITY", _spec("strictAffinity", "false")),
    Column("AUTOALLOCATEBLOCKS", _spec("autoAllocateBlocks", "true")),
)
_ENDPOINT = (
    Column("WORKLOAD", _spec("pod")),
    Column("NODE", _spec("node")),
    Column("NETWORKS", _spec("ipNetworks")),
    Column("INTERFACE", _spec("interfaceName")),
)
_AFFINITY = (
    _NAME,
    Column("NODE", _spec("node")),
    Column("CIDR", _spec("cidr")),
    Column("STATE", _spec("state")),
)
_BLOCK = (
    _NAME,
    Column("CIDR", _spec("cidr")),
    Column("AFFINITY", _spec("affinity")),
    Column("INUSE", _in_use),
)
_HANDLE = (_NAME, Column("BLOCKS", _handle_blocks))
_HOST_ENDPOINT = (_NAME, Column("NODE", _spec("node")))
_POLICY = (_NAME, Column("TIER", _spec("tier", "default")))
_POLICY_WIDE = (*_POLICY, Column("ORDER", _order), Column("SELECTOR", _spec("selector")))
_NETWORK_SET_WIDE = (_NAME, Column("NETS", _spec("nets")))
_TIER = (_NAME, Column("ORDER", _order))
_NODE_STATUS = (_NAME, Column("NODE", _spec("node")))

NOUNS = (
    Noun(
        "Node",
        ("nodes", "node", "no"),
        (_NAME,),
        (
            _NAME,
            Column("ASN", _node_as),
            Column("IPV4", _at("spec", "bgp", "ipv4Address")),
            Column("IPV6", _at("spec", "bgp", "ipv6Address")),
        ),
        "Node",
    ),
    Noun(
        "IPPool",
        ("ippools", "ippool", "ipp", "pool", "pools"),
        (_NAME, Column("CIDR", _spec("cidr")), _POOL_SELECTOR),
        (
            _NAME,
            Column("CIDR", _spec("cidr")),
            Column("NAT", _spec("natOutgoing", "false")),
            Column("IPIPMODE", _spec("ipipMode", "Never")),
            Column("VXLANMODE", _spec("vxlanMode", "Never")),
            Column("DISABLED", _spec("disabled", "false")),
            Column("DISABLEBGPEXPORT", _spec("disableBGPExport", "false")),
            _POOL_SELECTOR,
            Column("ASSIGNMENTMODE", _spec("assignmentMode", "Automatic")),
        ),
        "IPPool",
    ),
    Noun("BGPPeer", ("bgppeers", "bgppeer", "bgpp", "bp"), _PEER, _PEER, "BGPPeer"),
    Noun(
        "BGPConfiguration",
        ("bgpconfigurations", "bgpconfiguration", "bgpconfig", "bgpconfigs"),
        _BGP_CONFIGURATION,
        _BGP_CONFIGURATION,
        "BGPConfiguration",
    ),
    Noun("BGPFilter", ("bgpfilters", "bgpfilter", "bgpf", "bf"), _FILTER, _FILTER, "BGPFilter"),
    Noun(
        "ClusterInformation",
        ("clusterinformations", "clusterinformation", "clusterinfo", "clusterinfos"),
        _CLUSTER,
        _CLUSTER,
        "ClusterInformation",
    ),
    Noun(
        "FelixConfiguration",
        ("felixconfigurations", "felixconfiguration", "felixconfig", "felixconfigs"),
        (_NAME,),
        (_NAME,),
        "FelixConfiguration",
    ),
    Noun(
        "IPAMConfiguration",
        ("ipamconfigurations", "ipamconfiguration", "ipamconfig", "ipamconfigs"),
        _IPAM_CONFIGURATION,
        (*_IPAM_CONFIGURATION, Column("MAXBLOCKSPERHOST", _max_blocks)),
        "IPAMConfig",
    ),
    Noun(
        "IPReservation",
        ("ipreservations", "ipreservation", "reservations", "reservation"),
        (_NAME,),
        (_NAME, Column("CIDRS", _spec("reservedCIDRs"))),
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
        (_NAME,),
        (_NAME,),
        "KubeControllersConfiguration",
    ),
    Noun(
        "WorkloadEndpoint",
        ("workloadendpoints", "workloadendpoint", "weps", "wep"),
        _ENDPOINT,
        (_NAME, *_ENDPOINT, Column("PROFILES", _spec("profiles")), Column("NATS", _nats)),
        "WorkloadEndpoint",
        namespaced=True,
    ),
    Noun(
        "HostEndpoint",
        ("hostendpoints", "hostendpoint", "heps", "hep"),
        _HOST_ENDPOINT,
        (
            *_HOST_ENDPOINT,
            Column("INTERFACE", _spec("interfaceName")),
            Column("IPS", _spec("expectedIPs")),
            Column("PROFILES", _spec("profiles")),
        ),
        "HostEndpoint",
    ),
    Noun("Tier", ("tiers", "tier"), _TIER, _TIER, "Tier"),
    Noun(
        "GlobalNetworkPolicy",
        ("globalnetworkpolicies", "globalnetworkpolicy", "gnps", "gnp"),
        _POLICY,
        _POLICY_WIDE,
        "GlobalNetworkPolicy",
    ),
    Noun(
        "NetworkPolicy",
        ("networkpolicies", "networkpolicy", "np", "policies", "policy", "pols", "pol"),
        _POLICY,
        _POLICY_WIDE,
        "NetworkPolicy",
        namespaced=True,
    ),
    Noun(
        "GlobalNetworkSet",
        ("globalnetworksets", "globalnetworkset", "gnetsets", "gnetset"),
        (_NAME,),
        _NETWORK_SET_WIDE,
        "GlobalNetworkSet",
    ),
    Noun(
        "NetworkSet",
        ("networksets", "networkset", "netsets", "netset"),
        (_NAME,),
        _NETWORK_SET_WIDE,
        "NetworkSet",
        namespaced=True,
    ),
    Noun(
        "CalicoNodeStatus",
        ("caliconodestatuses", "caliconodestatus", "nodestatuses", "nodestatus"),
        _NODE_STATUS,
        (*_NODE_STATUS, Column("CLASSES", _spec("classes"))),
        "CalicoNodeStatus",
    ),
    Noun(
        "BlockAffinity",
        ("blockaffinities", "blockaffinity", "affinities", "affinity"),
        _AFFINITY,
        _AFFINITY,
        "BlockAffinity",
        written_by="IPAM",
    ),
    Noun("IPAMBlock", ("ipamblocks", "ipamblock", "blocks", "block"), _BLOCK, _BLOCK, "IPAMBlock", written_by="IPAM"),
    Noun(
        "IPAMHandle",
        ("ipamhandles", "ipamhandle", "handles", "handle"),
        _HANDLE,
        _HANDLE,
        "IPAMHandle",
        written_by="IPAM",
    ),
)

_BY_WORD = {word: noun for noun in NOUNS for word in (noun.kind.lower(), *noun.aliases)}
