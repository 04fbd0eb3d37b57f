"""Does a packet get from one node to the next?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from explain.device import device_faults
from explain.facts import Leg
from explain.mtu import OVERHEAD, narrowed, too_narrow, too_wide
from explain.session import refused_by
from explain.step import Command, Step, StepState
from felix_py.status_model import DeviceFacts, NodeTrace


class Onward(Struct, frozen=True):
    """Where a node sends the packet. node: the one it should arrive at next, "" = out of the cluster.

    gateway: the next hop, or the goal itself where that is on the link.
    """

    device: DeviceFacts | None
    gateway: str
    node: str


def link(leg: Leg, trace: NodeTrace, onward: Onward, size: int) -> Iterator[Step]:
    """Yield whether a packet of up to `size` bytes gets to the next node."""
    here, device = trace.node, onward.device
    if device is None:
        yield leg.step(here, "device", StepState.UNSEEN, "the device it sends by was not seen")
        return
    yield from device_faults(leg, here, device.name, device)
    yield from too_wide(leg, trace, device, size)
    if not onward.node:
        where = f"beyond {onward.gateway}"
        yield leg.step(where, "outside", StepState.UNSEEN, "the packet leaves the cluster here")
        for clause in refused_by(trace):
            text = f"{clause}; one of them may lead to {leg.goal.address}"
            inspect = Command(here, "felixctl node status")
            yield leg.step(here, "session", StepState.DOUBTFUL, text, inspect=inspect)
        return
    there = leg.facts.traces.get(onward.node)
    port = _port(leg, there, onward.gateway) if there else None
    router = leg.facts.records.node_of(onward.gateway) is None
    if port and not router:
        sender, receiver = (here, device), (onward.node, port)
        yield from too_narrow(leg, sender, receiver, onward.node, narrowed(size, device))
        if device.kind in OVERHEAD:
            yield from device_faults(leg, onward.node, port.name, port)
    through = f" through router {onward.gateway}, which is no node of ours" if router else ""
    encapsulation = f"encapsulated ({device.kind})" if device.kind in OVERHEAD else "no encapsulation"
    text = f"{device.name} to {onward.node}{through}, MTU {device.mtu}, {encapsulation}"
    pool = leg.facts.records.pool_of(leg.goal.address)
    if pool and pool.tunnelled and device.kind not in OVERHEAD:
        bare = f"{text}, though pool {pool.name} has ipipMode Always: a router between the nodes may not know the way"
        inspect = Command(here, "felixctl node status")
        yield leg.step(here, "link", StepState.DOUBTFUL, bare, inspect=inspect)
    else:
        yield leg.step(here, "link", StepState.OK, text)


def arrival_device(leg: Leg, onward: Onward) -> str:
    """Return the name of the device by which the next node takes the packet in, "" if that is not known."""
    trace = leg.facts.traces.get(onward.node)
    if trace is None:
        return ""
    kind = onward.device.kind if onward.device else ""
    if kind in OVERHEAD:
        return next((device.name for device in trace.kernel.devices if device.kind == kind), "")
    port = _port(leg, trace, onward.gateway)
    return port.name if port else ""


def _port(leg: Leg, trace: NodeTrace, gateway: str) -> DeviceFacts | None:
    """Return the device of a node that faces the others: the one with the gateway's address, else with its own."""
    own = leg.facts.records.nodes.get(trace.node, ())
    addresses = [address for address in (gateway, *own) if (":" in address) == (":" in gateway)]
    return next((device for device in map(trace.kernel.device_with, addresses) if device), None)
