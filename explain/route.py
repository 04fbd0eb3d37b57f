"""Does a node's kernel send the packet where it should, and who wants that route?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from explain.facts import Leg
from explain.link import Onward
from explain.mtu import OVERHEAD
from explain.session import learned_from, not_learned
from explain.step import Command, Step, StepState
from felix_py.status_model import NodeTrace, RouteStatus
from net.ip_route import IpRoute


def chosen_route(leg: Leg, trace: NodeTrace) -> IpRoute | None:
    """Return the route that the node's kernel takes to the goal, if it leads there as far as this node can tell."""
    route = trace.kernel.routes.get(leg.goal.address)
    return route if leads_on(leg, trace, route) else None


def leads_on(leg: Leg, trace: NodeTrace, route: IpRoute | None) -> bool:
    """Return whether a route of this node leads to the goal, as far as this node can tell."""
    if route is None or not route.forwards:
        return False
    goal, records = leg.goal, leg.facts.records
    if leg.arrives_at(trace):
        wanted = goal.pod.device if goal.pod else route.device
        return route.device == wanted and (route.kind == "local") == (goal.pod is None)
    if not goal.node or goal.is_node or records.node_of(route.gateway) == goal.node:
        return True
    best = _best(leg, trace)
    if best is None or best.source == "blocks" or route.kind == "local":
        return False
    return best.prefix == route.prefix or (_by_stranger(leg, route) and best.prefix.contains(route.prefix))


def onward(leg: Leg, trace: NodeTrace, route: IpRoute) -> Onward:
    node = leg.facts.records.node_of(route.gateway) or leg.goal.node
    return Onward(trace.kernel.device(route.device), route.gateway or leg.goal.address, node)


def route_origin(leg: Leg, trace: NodeTrace, route: IpRoute) -> Iterator[Step]:
    """Yield a route that leads on: which source put it there, and from which peers it was learned.

    Where it is another program's, and leads to a router that is no node, nobody can tell whether it leads to the goal.
    """
    best = _best(leg, trace)
    ours = best if best is not None and _is_same(best.route, route) else None
    if ours is None and best is not None and leg.goal.node and not leg.goal.is_node and _by_stranger(leg, route):
        yield _instead_of_ours(leg, trace, route, best)
        if route.gateway:
            text = f"what it does with packets for {leg.goal.address}"
            yield leg.step(f"router {route.gateway}", "outside", StepState.UNSEEN, text)
        return
    yield leg.step(trace.node, "route", StepState.OK, f"{route}{_attribution(trace, route, ours)}")
    if ours is not None and ours.source == "learned":
        yield from learned_from(leg, trace, ours)


def _by_stranger(leg: Leg, route: IpRoute) -> bool:
    """Return whether a route leads by something that is no node: a router, or a link that is to have the goal."""
    return leg.facts.records.node_of(route.gateway) is None


def _is_same(wanted: IpRoute, held: IpRoute) -> bool:
    """Return whether the kernel's route is the one that a source of the agent wants."""
    ours, theirs = ((route.prefix, route.protocol, route.metric) for route in (wanted, held))
    return ours == theirs and {hop.gateway for hop in held.hops} <= {hop.gateway for hop in wanted.hops}


def _instead_of_ours(leg: Leg, trace: NodeTrace, route: IpRoute, best: RouteStatus) -> Step:
    by = f"router {route.gateway} is no node" if route.gateway else f"it takes {leg.goal.address} to be on that link"
    whose = f"another program's (protocol {route.protocol})"
    text = f"{route}, {whose}, wins over {best.route} ({best.source}), and may lead elsewhere: {by}"
    inspect = Command(trace.node, f"{leg.ip} route show match {leg.goal.address}")
    return leg.step(trace.node, "route", StepState.DOUBTFUL, text, inspect=inspect)


def _attribution(trace: NodeTrace, route: IpRoute, ours: RouteStatus | None) -> str:
    if route.kind == "local":
        return ""
    device = trace.kernel.device(route.device)
    inside = f", inside {device.kind} packets" if device and device.kind in OVERHEAD else ""
    if ours is None:
        return f" (not one of ours){inside}"
    note = f" ({ours.note})" if ours.note else ""
    return f" ({ours.source}){note}{inside}"


def route_fault(leg: Leg, trace: NodeTrace) -> Step:
    """Return why a node has no route that leads to the goal."""
    node, address = trace.node, leg.goal.address
    route, wanted = trace.kernel.routes.get(address), trace.wanted.get(address, ())
    best = _best(leg, trace)
    inspect = Command(node, f"{leg.ip} route show match {address}")
    effect = _effect(leg, route)
    if best and best.source != "blocks" and (route is None or route.prefix.length < best.prefix.length):
        return _missing(leg, trace, best, effect)
    unresolved = next((row for row in wanted if not row.best and row.note and row.source != "blocks"), None)
    if unresolved:
        text = f"the route to {unresolved.prefix} that {unresolved.source} wants is not in force: {unresolved.note}"
        return leg.step(node, "route", StepState.BROKEN, text, effect, inspect)
    if best and best.source != "blocks":
        text = f"{route} leads elsewhere and wins over {best.route}" + (f": {best.note}" if best.note else "")
        return leg.step(node, "route", StepState.BROKEN, text, effect, inspect)
    if not leg.arrives_at(trace):
        return not_learned(leg, trace, effect)
    if leg.goal.pod:
        text = f"the agent wants no route to {address}: it does not know {leg.goal.title}"
        return leg.step(node, "route", StepState.BROKEN, text, effect, Command(node, f"felixctl routes {address}"))
    hit = f"{route.kind} {route.prefix}" if route and not route.forwards else "no route"
    text = f"the packet hits {hit}: no pod of {node} has {address}"
    return leg.step(node, "blackhole", StepState.BROKEN, text, "it is dropped silently", inspect)


def _missing(leg: Leg, trace: NodeTrace, best: RouteStatus, effect: str) -> Step:
    reason = str(best.note or "")
    if not reason and not trace.repair:
        reason = "it was deleted, and repair is off (FELIX_REPAIR=false)"
    text = f"{best.source} wants {best.route}, and the kernel does not have it" + (f": {reason}" if reason else "")
    inspect = Command(trace.node, f"felixctl routes {leg.goal.address}")
    repair = Command(trace.node, f"{leg.ip} route replace {best.route}")
    return leg.step(trace.node, "route", StepState.BROKEN, text, effect, inspect, repair)


def _effect(leg: Leg, route: IpRoute | None) -> str:
    address = leg.goal.address
    if route is None:
        return f"nothing leads to {address}, and the sender is told that it is unreachable"
    if not route.forwards:
        return f"packets for {address} are dropped by {route}"
    return f"packets for {address} are misdirected by {route}"


def _best(leg: Leg, trace: NodeTrace) -> RouteStatus | None:
    """Return the longest route to the goal that the agent wants and no stronger source overrides."""
    return next((row for row in trace.wanted.get(leg.goal.address, ()) if row.best), None)
