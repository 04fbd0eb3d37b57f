"""What agents know of nodes and pods that the datastore does not: which node lives, and which devices exist.

An edge. Where no agent answers nothing is known, which proves nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from datastore.fields import Address
from datastore.store import Store
from datastore.summaries import AnyEndpoint
from felix_py.status_model import RouteIssue
from felixctl.errors import CommandError
from felixctl.status_client import read_routes, read_status
from felixctl.terminal import warn
from net.prefix import Prefix

if TYPE_CHECKING:  # pydantic comes with it, and who asks for devices needs none
    from datastore.kinds.node import Node

EndpointKey = tuple[str | None, str]
"""An endpoint's namespace and name."""


async def sign_of_life(store: Store, node: Node, run_dir: Path) -> str | None:
    """Return what shows that a node is alive, as a clause; None: nothing does, and its agent does not answer."""
    from felix_py.node.node_claim import ANSWER_SECONDS, HostMark, answers  # imported late: few commands ask

    if seen := _seen(node, run_dir):
        return seen
    if HostMark.of(node) is None:
        return None
    warn(f"asking the agent of node {node.name} for up to {ANSWER_SECONDS:g} s whether it lives\n")
    return "its agent answers" if await answers(store, node, time.monotonic) else None


def _seen(node: Node, run_dir: Path) -> str | None:
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
    endpoints: Iterable[AnyEndpoint], run_dir: Path, has_device: Callable[[str], bool] | None = None
) -> frozenset[EndpointKey]:
    """Return the endpoints of this machine's node whose device is gone, as kernel and agent both say."""
    exists = has_device or _devices().__contains__
    suspects = [one for one in endpoints if one.addresses and not exists(one.spec.interface_name or "")]
    try:
        node = read_status(run_dir).node if suspects else ""
        return frozenset(
            (one.namespace, one.name)
            for one in suspects
            if one.spec.node == node and all(_has_no_route(address, run_dir) for address in one.addresses)
        )
    except CommandError:
        return frozenset()


def _has_no_route(address: Address, run_dir: Path) -> bool:
    """Whether this node's agent wants a route to an address of a pod here, and lacks the device for it."""
    return any(
        row.source == "pods" and not row.in_fib and row.note and row.note.issue is RouteIssue.DEVICE_DOWN
        for row in read_routes(run_dir, Prefix.parse(str(address)))
    )


def _devices() -> frozenset[str]:
    """Return the names of this host's devices. To ask for each of a cluster's one by one takes as long as all else."""
    try:
        return frozenset(os.listdir("/sys/class/net"))
    except OSError:
        return frozenset()
