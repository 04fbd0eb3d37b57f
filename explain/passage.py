"""Does a node take a packet in from where it comes, and send it by the route that all others take?

Pure. Routing rules may send it elsewhere, and a reverse-path check may drop it for its source.
"""

from __future__ import annotations

from collections.abc import Iterator

from explain.device import sysctl_name
from explain.facts import Leg
from explain.route import leads_on
from explain.step import Command, Step, StepState
from felix_py.status_model import DeviceFacts, NodeTrace

STRICT = 1


def reverse_path(leg: Leg, trace: NodeTrace, device: DeviceFacts) -> Iterator[Step]:
    """Yield a break where a strict check drops the packet, as the way back to its source leads by another device."""
    back = trace.kernel.routes.get(leg.start.address)
    if leg.start.version != 4 or device.reverse_path != STRICT or back is None or back.kind == "local":
        return
    if back.forwards and device.name in {hop.device for hop in back.hops}:
        return
    where = f"by {back.device}" if back.forwards and back.device else "nowhere"
    switch = f"net.ipv4.conf.{sysctl_name(device.name)}.rp_filter"
    text = (
        f"packets from {leg.start.title} come in by {device.name} and the way back to {leg.start.address} leads"
        f" {where}: the reverse-path check (rp_filter is 1, strict) drops them"
    )
    inspect = Command(trace.node, f"sysctl net.ipv4.conf.all.rp_filter {switch}")
    repair = Command(trace.node, f"sysctl -w {switch}=2")
    effect = "they are dropped silently, before any route is looked at"
    yield leg.step(trace.node, "reverse path", StepState.BROKEN, text, effect, inspect, repair)


def led_elsewhere(leg: Leg, trace: NodeTrace, came_by: str) -> Iterator[Step]:
    """Yield a break where the packet, coming in by this device, does not take the route that was looked at."""
    found = trace.kernel.passage(leg.start.address, leg.goal.address)
    if found is None or found.device != came_by:
        return
    inspect = Command(trace.node, f"{leg.ip} route get {leg.goal.address} from {leg.start.address} iif {found.device}")
    because = f"the routing rule '{found.rule}'" if found.rule else "the kernel"
    if found.refused:
        certain = leg.start.pod is not None and leg.start.node == trace.node
        text = f"{because} drops packets from {leg.start.title} that come in by {came_by}: {found.refused}"
        state = StepState.BROKEN if certain or found.rule else StepState.DOUBTFUL
        yield leg.step(trace.node, "rule", state, text, "they do not come to the route", inspect)
    elif not leads_on(leg, trace, found.route):
        text = f"{because} sends packets from {leg.start.title} elsewhere: {found.route}, of table {found.table}"
        effect = f"they do not take the route to {leg.goal.title} in the main table"
        yield leg.step(trace.node, "rule", StepState.BROKEN, text, effect, inspect)
