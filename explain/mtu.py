"""Does a packet fit through a link, and is its sender told where it does not?

Pure. `size` is the largest packet, in bytes, that may be under way; 0 where that is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from explain.facts import Leg
from explain.step import Command, Step, StepState
from felix_py.status_model import DeviceFacts, NodeTrace

OVERHEAD = {"ipip": 20, "vxlan": 50}  # bytes that a tunnel's device puts before a packet (IPv4)


def narrowed(size: int, device: DeviceFacts | None) -> int:
    """Return the largest packet that is still under way behind a device."""
    return min(size, device.mtu) if device and size else size


def too_wide(leg: Leg, trace: NodeTrace, device: DeviceFacts, size: int) -> Iterator[Step]:
    """Yield a doubt where packets must shrink to leave a node: their sender is told so, if the ICMP error arrives."""
    if size > device.mtu:
        text = (
            f"packets may have {size} bytes and {device.name} sends {device.mtu}: their sender is told to send"
            " smaller ones (ICMP); where that is dropped, connections hang"
        )
        inspect = Command(trace.node, f"ip link show {device.name}")
        yield leg.step(trace.node, "mtu", StepState.DOUBTFUL, text, inspect=inspect)


def too_narrow(
    leg: Leg,
    sender: tuple[str, DeviceFacts | None],
    receiver: tuple[str, DeviceFacts],
    place: str,
    size: int,
) -> Iterator[Step]:
    """Yield a break where one end of a link takes smaller packets than the other sends: no ICMP error tells of those.

    sender, receiver: their names and devices; a sender without device is the pod itself. place: where commands about
    the receiver are run.
    """
    (here, outgoing), (there, incoming) = sender, receiver
    overhead = OVERHEAD.get(outgoing.kind, 0) if outgoing else 0
    sent = outgoing.mtu + overhead if outgoing else size
    if sent and size:
        sent = min(sent, size + overhead)
    if incoming.mtu >= sent:
        return
    by = f"{outgoing.name} of {here}" if outgoing else here
    yield leg.step(
        f"{here} to {there}",
        "mtu",
        StepState.BROKEN,
        f"MTU too small: {incoming.name} of {there} takes {incoming.mtu} bytes, and {by} sends up to {sent}",
        f"packets of more than {incoming.mtu} bytes are lost silently; small ones, such as pings, pass",
        Command(place, f"ip link show {incoming.name}"),
        Command(place, f"ip link set {incoming.name} mtu {sent}"),
        partly=True,
    )
