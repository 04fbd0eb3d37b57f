"""What does a packet meet in one direction, from pod to node to node to pod?

Pure. The packet is followed as it goes; each step is a fact that was read, judged by what should be.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from explain.device import device_faults, forwarding
from explain.facts import Leg
from explain.filters import filtered_packets
from explain.link import Onward, arrival_device, link
from explain.mtu import narrowed, too_narrow, too_wide
from explain.neighbour import strange_next_hop, unanswered_next_hop
from explain.passage import led_elsewhere, reverse_path
from explain.pod import arriving, largest_packet, leaving
from explain.route import chosen_route, onward, route_fault, route_origin
from explain.step import Step, StepState
from felix_py.status_model import NodeTrace


def walk(leg: Leg) -> Iterator[Step]:
    """Yield the steps until the packet arrives, leaves the cluster, or is lost."""
    here, came_by, size = leg.start.node, "", largest_packet(leg)
    if not here:
        text = "how it sends to the cluster cannot be seen"
        yield leg.step(leg.start.asked, "outside", StepState.UNSEEN, text)
        here, came_by = leg.goal.node, _presumed_arrival(leg)
    if leg.start.pod:
        yield from leaving(leg, leg.start.pod)
        came_by = leg.start.pod.device
    passed: set[str] = set()
    while here:
        if here in passed:
            effect = "routing loop: the packet is dropped when its TTL expires"
            yield leg.step(here, "route", StepState.BROKEN, "the packet was here before", effect)
            return
        passed.add(here)
        trace = leg.facts.traces.get(here)
        if trace is None:
            text = leg.facts.unseen.get(here, "its agent was not asked")
            yield leg.step(here, "node", StepState.UNSEEN, text)
            here, came_by = leg.goal.node, _presumed_arrival(leg)
            if here in passed:
                return
            continue
        following = yield from _through(leg, trace, came_by, size)
        if following is None:
            return
        yield from link(leg, trace, following, size)
        here, came_by, size = following.node, arrival_device(leg, following), narrowed(size, following.device)


def _presumed_arrival(leg: Leg) -> str:
    """Return the device by which the goal's node answers, where the node before is out of sight; "" = none is known."""
    trace = leg.facts.traces.get(leg.goal.node)
    back = trace.kernel.routes.get(leg.start.address) if trace else None
    return back.device if back and back.forwards and back.kind != "local" else ""


def _through(leg: Leg, trace: NodeTrace, came_by: str, size: int) -> Generator[Step, None, Onward | None]:
    """Yield what a node does with a packet of up to `size` bytes; return where it goes, None if it goes no further."""
    if came_by:
        yield from _taken_in(leg, trace, came_by, size)
    arrived = leg.arrives_at(trace)
    if arrived and leg.goal.pod:
        name = leg.goal.pod.device
        yield from device_faults(leg, trace.node, name, trace.kernel.device(name))
    route = chosen_route(leg, trace)
    if route is None:
        yield route_fault(leg, trace)
        return None
    yield from route_origin(leg, trace, route)
    yield from led_elsewhere(leg, trace, came_by)
    yield from filtered_packets(leg, trace)
    if not arrived:
        next_hop = route.device, route.gateway or leg.goal.address
        yield from unanswered_next_hop(leg, trace, *next_hop)
        yield from strange_next_hop(leg, trace, *next_hop)
        return onward(leg, trace, route)
    device = trace.kernel.device(route.device)
    if leg.goal.pod and device:
        yield from too_wide(leg, trace, device, size)
        yield from arriving(leg, trace, device, leg.goal.pod, narrowed(size, device))
    return None


def _taken_in(leg: Leg, trace: NodeTrace, name: str, size: int) -> Iterator[Step]:
    """Yield whether a node takes in what comes by a device, and forwards what is not for itself."""
    device = trace.kernel.device(name)
    yield from device_faults(leg, trace.node, name, device)
    if device is None:
        return
    if device.works and leg.start.pod and leg.start.node == trace.node:
        yield from too_narrow(leg, (leg.start.title, None), (trace.node, device), trace.node, size)
    if not (leg.goal.is_node and leg.arrives_at(trace)):
        yield forwarding(leg, trace, device)
    yield from reverse_path(leg, trace, device)
