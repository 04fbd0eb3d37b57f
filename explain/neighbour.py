"""Does a node know the hardware address of where it sends the packet next (ARP, NDP)?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from explain.facts import Leg
from explain.step import Command, Step, StepState
from felix_py.status_model import DeviceFacts, NodeTrace


def unanswered_next_hop(leg: Leg, trace: NodeTrace, device: str, gateway: str) -> Iterator[Step]:
    """Yield a break where no host on the link answers that the next hop is there."""
    entry = trace.kernel.neighbour(device, gateway)
    inspect = Command(trace.node, f"{leg.ip} neigh show {gateway}")
    if entry and entry.asked:
        text = f"next hop {gateway} is being asked for on {device} and has not answered yet"
        yield leg.step(trace.node, "neighbour", StepState.DOUBTFUL, text, inspect=inspect)
    if entry and entry.unanswered:
        text = f"next hop {gateway} does not answer on {device} (its neighbour entry is FAILED)"
        effect = "packets wait for its hardware address and are dropped; that host, or the link to it, is down"
        yield leg.step(trace.node, "neighbour", StepState.BROKEN, text, effect, inspect)


def strange_next_hop(leg: Leg, trace: NodeTrace, device: str, gateway: str) -> Iterator[Step]:
    """Yield whether a node has, for a next hop that is a node, a hardware address that no device of that node has.

    An entry that somebody wrote is wrong then. One that was learned may be right, where a router answers for both.
    """
    there = leg.facts.traces.get(leg.facts.records.node_of(gateway) or "")
    port, entry = there.kernel.device_with(gateway) if there else None, trace.kernel.neighbour(device, gateway)
    if there is None or port is None or not port.mac or entry is None or not entry.mac:
        return
    if entry.mac in {one.mac for one in there.kernel.devices}:
        return
    text = (
        f"the node takes {entry.mac} for next hop {gateway} on {device}, and {port.name} of {there.node} has {port.mac}"
    )
    inspect = Command(trace.node, f"{leg.ip} neigh show {gateway}")
    if entry.permanent:
        yield _written_by_hand(leg, trace, device, gateway, text)
    elif entry.mac not in {one.mac for one in there.kernel.neighbours}:  # there too: it stands between them for all
        text += "; where nothing between them answers for that node (proxy ARP), packets go elsewhere until it is asked"
        yield leg.step(trace.node, "neighbour", StepState.DOUBTFUL, text, inspect=inspect)


def strange_pod(leg: Leg, trace: NodeTrace, outer: DeviceFacts, inner: DeviceFacts) -> Iterator[Step]:
    """Yield a break where somebody wrote a hardware address for a pod that the pod's device has not."""
    address = leg.goal.address
    entry = trace.kernel.neighbour(outer.name, address)
    if entry and entry.permanent and entry.mac and inner.mac and entry.mac != inner.mac:
        text = f"the node takes {entry.mac} for {address} on {outer.name}, and {inner.name} in the pod has {inner.mac}"
        yield _written_by_hand(leg, trace, outer.name, address, text)


def _written_by_hand(leg: Leg, trace: NodeTrace, device: str, address: str, text: str) -> Step:
    text += "; the entry was written by somebody and is not asked for again (permanent)"
    effect = f"what it sends to {address} goes to another host, or to none"
    inspect = Command(trace.node, f"{leg.ip} neigh show {address}")
    repair = Command(trace.node, f"{leg.ip} neigh del {address} dev {device}")
    return leg.step(trace.node, "neighbour", StepState.BROKEN, text, effect, inspect, repair)
