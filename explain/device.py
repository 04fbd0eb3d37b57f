"""Does a device work, and does its node forward what comes in by it?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from explain.facts import Leg
from explain.step import Command, Step, StepState
from felix_py.status_model import DeviceFacts, NodeTrace

_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def sysctl_name(device: str) -> str:
    """Return the name of a device as `sysctl` takes it between points: its own points are slashes, as in eth0/100."""
    return device.replace(".", "/")


def device_faults(leg: Leg, node: str, name: str, device: DeviceFacts | None) -> Iterator[Step]:
    """Yield what is wrong with a device of a node, if anything; None: the node has no device of this name."""
    inspect = Command(node, f"ip link show {name}")
    if device is None:
        text = f"there is no device {name}" if name else "the endpoint names no device"
        effect = "its pod has no connection; attach it again"
        yield leg.step(node, "device", StepState.BROKEN, text, effect, inspect)
    elif not device.up:
        repair = Command(node, f"ip link set {name} up")
        effect = "it takes nothing in and sends nothing out"
        yield leg.step(node, "device", StepState.BROKEN, f"device {name} is down", effect, inspect, repair)
    elif not device.carrier:
        text = f"device {name} is up, but its link is down (no carrier)"
        effect = "what it should carry is lost at the cable, or whatever its other end is"
        yield leg.step(node, "link", StepState.BROKEN, text, effect, inspect)


def forwarding(leg: Leg, trace: NodeTrace, device: DeviceFacts) -> Step:
    """Return whether a node forwards packets of this family that come in by a device."""
    node, version = trace.node, leg.goal.version
    own = f"net.ipv{version}.conf.{sysctl_name(device.name)}.forwarding"
    if device.forwarding.get(str(version), True):
        return leg.step(node, "forwarding", StepState.OK, f"takes packets in by {device.name} and forwards them")
    switch = own if str(version) in device.own_switch else _FORWARDING[version]
    return leg.step(
        node,
        "forwarding",
        StepState.BROKEN,
        f"the node does not forward: {switch} is off for packets that come in by {device.name}",
        f"it drops whatever is not for itself, such as packets from {leg.start.title} to {leg.goal.title}",
        Command(node, f"sysctl {_FORWARDING[version]} {own}"),
        Command(node, f"sysctl -w {switch}=1"),
    )
