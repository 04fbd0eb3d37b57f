"""The columns of the tables that `get` prints, kind by kind, as calicoctl has them.

Pure. Cells are read from the shown form of a resource (`felixctl.resources.view`), so the tables need no model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

View = Mapping[str, Any]
Cell = Callable[[View, int], str]
"""Return a cell of a resource's row, given the cluster's AS number."""


class Column(NamedTuple):
    """One column of a table: its heading and how to read its cell."""

    heading: str
    cell: Cell


def _find(view: View, path: Sequence[str]) -> Any:
    value: Any = view
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def field_at(*path: str, otherwise: str = "") -> Cell:
    """Return a cell that prints the field at `path` as Calico does, `otherwise` where the field is absent."""
    return lambda view, _: _text(_find(view, path), otherwise)


def spec_field(field: str, otherwise: str = "") -> Cell:
    return field_at("spec", field, otherwise=otherwise)


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


def node_as(view: View, cluster_as: int) -> str:
    """Return the node's own AS number, or in parentheses the cluster's; nothing if the node speaks no BGP."""
    bgp = _find(view, ("spec", "bgp"))
    if not bgp:
        return ""
    return str(bgp["asNumber"]) if bgp.get("asNumber") else f"({cluster_as})"


def _peer_node(view: View, _: int) -> str:
    spec = view.get("spec") or {}
    return str(spec.get("node") or spec.get("nodeSelector") or "(global)")


def nats(view: View, _: int) -> str:
    found = _find(view, ("spec", "ipNATs"))
    entries = [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []
    return ",".join(f"{entry.get('externalIP')}->{entry.get('internalIP')}" for entry in entries)


def number(value: Any, otherwise: float) -> float:
    """Return a number of a field that may hold anything."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _order(view: View, _: int) -> str:
    """Return an order as Go prints a float: from a million on with an exponent, `1e+06`."""
    written = _find(view, ("spec", "order"))
    order = number(written, math.nan)
    if math.isnan(order):
        return _text(written, "")
    if abs(order) < 1e6:
        return f"{order:.15g}"
    digits, exponent = f"{order:.15e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


def _pod_selector(view: View, _: int) -> str:
    """Return a label selector of Kubernetes' as JSON; one that chooses every pod is empty."""
    found = _find(view, ("spec", "podSelector"))
    return json.dumps(found, separators=(",", ":")) if found else ""


def max_blocks(view: View, _: int) -> str:
    return str(_find(view, ("spec", "maxBlocksPerHost")) or 0)


def _in_use(view: View, _: int) -> str:
    allocations = view["spec"]["allocations"]
    return f"{sum(slot is not None for slot in allocations)}/{len(allocations)}"


def _handle_blocks(view: View, _: int) -> str:
    return ",".join(f"{cidr}={count}" for cidr, count in sorted(view["spec"]["block"].items()))


NAME = Column("NAME", field_at("metadata", "name"))
POOL_SELECTOR = Column("SELECTOR", spec_field("nodeSelector", "all()"))
PEER = (
    NAME,
    Column("PEERIP", spec_field("peerIP")),
    Column("NODE", _peer_node),
    Column("ASN", spec_field("asNumber", "0")),
)
BGP_CONFIGURATION = (
    NAME,
    Column("LOGSEVERITY", spec_field("logSeverityScreen", "-")),
    Column("MESHENABLED", spec_field("nodeToNodeMeshEnabled", "-")),
    Column("ASNUMBER", spec_field("asNumber", "-")),
)
FILTER = (
    NAME,
    Column("NUMEXPORTV4", _count("exportV4")),
    Column("NUMIMPORTV4", _count("importV4")),
    Column("NUMEXPORTV6", _count("exportV6")),
    Column("NUMIMPORTV6", _count("importV6")),
)
CLUSTER = (
    NAME,
    Column("CLUSTERGUID", spec_field("clusterGUID")),
    Column("CLUSTERTYPE", spec_field("clusterType")),
    Column("CALICOVERSION", spec_field("calicoVersion")),
    Column("DATASTOREREADY", spec_field("datastoreReady", "false")),
)
IPAM_CONFIGURATION = (
    NAME,
    Column("STRICTAFFINITY", spec_field("strictAffinity", "false")),
    Column("AUTOALLOCATEBLOCKS", spec_field("autoAllocateBlocks", "true")),
)
ENDPOINT = (
    Column("WORKLOAD", spec_field("pod")),
    Column("NODE", spec_field("node")),
    Column("NETWORKS", spec_field("ipNetworks")),
    Column("INTERFACE", spec_field("interfaceName")),
)
AFFINITY = (
    NAME,
    Column("NODE", spec_field("node")),
    Column("CIDR", spec_field("cidr")),
    Column("STATE", spec_field("state")),
)
BLOCK = (
    NAME,
    Column("CIDR", spec_field("cidr")),
    Column("AFFINITY", spec_field("affinity")),
    Column("INUSE", _in_use),
)
HANDLE = (NAME, Column("BLOCKS", _handle_blocks))
HOST_ENDPOINT = (NAME, Column("NODE", spec_field("node")))
POLICY = (NAME, Column("TIER", spec_field("tier", "default")))
POLICY_WIDE = (*POLICY, Column("ORDER", _order), Column("SELECTOR", spec_field("selector")))
KUBERNETES_POLICY_WIDE = (NAME, Column("PODSELECTOR", _pod_selector))
NETWORK_SET_WIDE = (NAME, Column("NETS", spec_field("nets")))
TIER = (NAME, Column("ORDER", _order))
NODE_STATUS = (NAME, Column("NODE", spec_field("node")))
