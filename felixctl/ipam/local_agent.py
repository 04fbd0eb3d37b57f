"""What this machine's agent knows of nodes and pods that the datastore does not: who answers, and which devices exist.

An edge. Without an agent here nothing is known, which proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from felix_py.status_model import RouteIssue
from felixctl.errors import CommandError
from felixctl.status_client import read_routes, read_status
from net.prefix import Prefix

EndpointKey = tuple[str | None, str]
"""An endpoint's namespace and name."""


def sign_of_life(node: Node, run_dir: Path) -> str | None:
    """Return what shows that a node is alive, as a clause; None: nothing does."""
    try:
        status = read_status(run_dir)
    except CommandError:
        return None
    if status.node == node.name:
        return "its agent answers on this machine"
    addresses = {str(address.ip) for address in (node.ipv4, node.ipv6) if address}
    up = next((peer for peer in status.peers if peer.is_up and peer.address in addresses), None)
    return f"its BGP session with node {status.node} ({up.address}) is up" if up else None


def without_device(
    endpoints: Iterable[WorkloadEndpoint], run_dir: Path, has_device: Callable[[str], bool] | None = None
) -> frozenset[EndpointKey]:
    """Return the endpoints of this machine's node whose device is gone, as agent and kernel both say."""
    try:
        node = read_status(run_dir).node
        rows = read_routes(run_dir)
    except CommandError:
        return frozenset()
    unmet = {
        row.prefix
        for row in rows
        if row.source == "pods" and not row.in_fib and row.note and row.note.issue is RouteIssue.DEVICE_DOWN
    }
    exists = has_device or _has_device
    return frozenset(
        (endpoint.namespace, endpoint.name)
        for endpoint in endpoints
        if endpoint.spec.node == node
        and endpoint.addresses
        and unmet.issuperset(Prefix.parse(str(address)) for address in endpoint.addresses)
        and not exists(endpoint.spec.interface_name or "")
    )


def _has_device(name: str) -> bool:
    return bool(name) and "/" not in name and Path("/sys/class/net", name).exists()
