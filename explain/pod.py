"""Does a packet leave its pod, and does it arrive in the other?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from explain.device import sysctl_name
from explain.facts import Leg
from explain.filters import filtered_in_pod
from explain.mtu import too_narrow
from explain.neighbour import strange_pod
from explain.records import PodRecord
from explain.step import Command, Step, StepState
from felix_py.status_model import DeviceFacts, NodeTrace, PodFacts


def largest_packet(leg: Leg) -> int:
    """Return the largest packet that the start sends, in bytes; 0 if that is not known."""
    trace = leg.facts.traces.get(leg.start.node)
    seen = trace.kernel.pods.get(leg.start.address) if trace else None
    return seen.device.mtu if seen else 0


def leaving(leg: Leg, pod: PodRecord) -> Iterator[Step]:
    """Yield how the packet leaves the pod it starts from; nothing if its node was not seen."""
    trace = leg.facts.traces.get(pod.node)
    if trace is None:
        return
    seen = trace.kernel.pods.get(leg.start.address)
    if seen is None:
        yield _unseen(leg, trace, pod, leg.start.address)
    elif not seen.device.up:
        yield _down(leg, pod, seen.device, "nothing leaves the pod, nothing reaches it")
    elif seen.route is None or not seen.route.forwards:
        inspect = Command(pod.pod, f"{leg.ip} route get {leg.goal.address}")
        text = f"the pod has no route to {leg.goal.address}" + (f" but {seen.route}" if seen.route else "")
        yield leg.step(pod.title, "route", StepState.BROKEN, text, "nothing leaves the pod", inspect)
    else:
        text = f"{seen.route}, MTU {seen.route.mtu or seen.device.mtu}"
        yield leg.step(pod.title, "route", StepState.OK, text)
        yield from filtered_in_pod(leg, pod, seen)
        yield from _gateway_faults(leg, trace, pod, seen)


def _gateway_faults(leg: Leg, trace: NodeTrace, pod: PodRecord, seen: PodFacts) -> Iterator[Step]:
    """Yield what keeps the pod's packets from its next hop, which is the node's end of its veth."""
    host, gateway = trace.kernel.device(pod.device), seen.route.gateway if seen.route else ""
    if host is None or not gateway:
        return
    entry = seen.gateway
    effect = "nothing that leaves the pod reaches the node"
    inspect = Command(pod.pod, f"{leg.ip} neigh show {gateway}")
    if entry and entry.mac and host.mac and entry.mac != host.mac:
        text = f"the pod takes {entry.mac} for its next hop {gateway}, and {pod.device} has {host.mac}"
        line = f"{leg.ip} neigh replace {gateway} lladdr {host.mac} dev {seen.device.name} nud permanent"
        yield leg.step(pod.title, "neighbour", StepState.BROKEN, text, effect, inspect, Command(pod.pod, line))
    elif entry is None or not entry.permanent:
        if leg.goal.version == 4 and not host.proxy_arp:
            switch = f"net.ipv4.conf.{sysctl_name(pod.device)}.proxy_arp"
            text = f"the pod asks for its next hop {gateway}, and {pod.device} does not answer: {switch} is off"
            repair = Command(trace.node, f"sysctl -w {switch}=1")
            inspect = Command(trace.node, f"sysctl {switch}")
            yield leg.step(trace.node, "neighbour", StepState.BROKEN, text, effect, inspect, repair)
        elif entry and entry.asked:
            text = f"the pod asks for its next hop {gateway} and has no answer yet"
            yield leg.step(pod.title, "neighbour", StepState.DOUBTFUL, text, inspect=inspect)
        elif entry and entry.unanswered:
            text = f"the pod's next hop {gateway} does not answer (its neighbour entry is FAILED)"
            yield leg.step(pod.title, "neighbour", StepState.BROKEN, text, effect, inspect)


def arriving(leg: Leg, trace: NodeTrace, outer: DeviceFacts, pod: PodRecord, size: int) -> Iterator[Step]:
    """Yield whether a packet of up to `size` bytes gets from the node's end of a veth into the pod."""
    seen = trace.kernel.pods.get(leg.goal.address)
    if seen is None:
        yield _unseen(leg, trace, pod, leg.goal.address)
    elif not seen.device.up:
        yield _down(leg, pod, seen.device, "nothing reaches the pod")
    else:
        yield from strange_pod(leg, trace, outer, seen.device)
        yield from too_narrow(leg, (trace.node, outer), (pod.title, seen.device), pod.pod, size)
        yield leg.step(pod.title, "pod", StepState.OK, f"{leg.goal.address} arrives by {seen.device.name}")
        yield from filtered_in_pod(leg, pod, seen)


def _unseen(leg: Leg, trace: NodeTrace, pod: PodRecord, address: str) -> Step:
    reason = trace.kernel.unentered.get(address)  # an agent of an earlier version gives none
    text = "the node's agent could not enter its namespace" + (f": {reason}" if reason else "")
    return leg.step(pod.title, "pod", StepState.UNSEEN, text)


def _down(leg: Leg, pod: PodRecord, device: DeviceFacts, effect: str) -> Step:
    inspect = Command(pod.pod, f"{leg.ip} link show {device.name}")
    text = f"device {device.name} in the pod is down"
    return leg.step(pod.title, "device", StepState.BROKEN, text, effect, inspect)
