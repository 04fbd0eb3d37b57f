"""What is wrong on a node that somebody who looks at its Node should be told of, from the agent's status.

Pure. A problem has a subject, by which it is the same one a minute later, whatever its text says by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from enum import Enum

from msgspec import Struct

from felix_py.status_model import AgentStatus, SessionStatus


class Trouble(Enum):
    """A sort of problem: the reason of its Event, that of the Event when it is over, and how long it has to last first.

    In seconds: what puts itself right before, such as the sessions with a node that starts anew, is told to nobody.
    """

    POD_ATTACHMENT = "PodsCannotAttach", "PodsCanAttach", 30.0
    LOCK = "DatastoreLocked", "DatastoreUnlocked", 60.0
    IDENTITY = "NodeIdentityConflict", "NodeIdentityRestored", 10.0
    PODS_FILTERED = "PodPacketsDropped", "PodPacketsPass", 10.0
    BGP_FILTERED = "BGPPacketsDropped", "BGPPacketsPass", 10.0
    FORWARDING_OFF = "ForwardingOff", "ForwardingOn", 10.0
    OTHER_NETWORK_FIRST = "OtherNetworkFirst", "OtherNetworkBehind", 10.0
    PLUGIN_MISSING = "PluginMissing", "PluginInstalled", 10.0
    TABLE_REFUSED = "NodeTableRefused", "NodeTableWritten", 10.0
    NEIGHBOUR_TABLE = "NeighbourTableTooSmall", "NeighbourTableSuffices", 10.0
    PODS_CUT_OFF = "PodDevicesDown", "PodDevicesUp", 30.0
    SIDECAR = "BGPSidecarAway", "BGPSidecarBack", 30.0
    SESSION = "BGPSessionDown", "BGPSessionUp", 60.0
    HELD_BACK = "BGPSessionHeldBack", "BGPSessionReleased", 10.0
    ROUTE = "RouteRefused", "RouteAccepted", 30.0
    TUNNEL = "TunnelDown", "TunnelUp", 30.0
    INVARIANT = "InvariantViolated", "InvariantRestored", 0.0
    NOTICE = "NotObeyed", "NotObeyedResolved", 30.0

    def __init__(self, reason: str, over: str, least_seconds: float) -> None:
        self.reason, self.over, self.least_seconds = reason, over, least_seconds


class NodeProblem(Struct, frozen=True):
    """One thing that is wrong. text: a sentence without a full stop."""

    trouble: Trouble
    subject: str
    text: str


OF_SESSIONS = frozenset({Trouble.SESSION, Trouble.HELD_BACK})
"""What is not known while the sidecar does not answer, neither as a problem nor as over."""


def unknown(status: AgentStatus) -> frozenset[Trouble]:
    """Return the sorts of problems of which a status does not say whether there are any."""
    return frozenset() if status.sidecar.connected else OF_SESSIONS


def problems(status: AgentStatus, nodes_away: Collection[str] = ()) -> tuple[NodeProblem, ...]:
    """Return what is wrong. nodes_away: the addresses of nodes that Kubernetes itself says are not ready.

    Sessions with these are no problem of this node: when a machine fails, all others would say so at once.
    """
    peers = [peer for peer in status.peers if peer.address not in nodes_away]
    return (*_of_progress(status), *_of_sidecar(status), *_of_sessions(peers), *_of_routes(status), *_others(status))


def _of_progress(status: AgentStatus) -> Iterator[NodeProblem]:
    progress = status.progress
    if progress.identity:
        yield NodeProblem(Trouble.IDENTITY, "", progress.identity)
    elif progress.missing:
        yield NodeProblem(Trouble.POD_ATTACHMENT, "", f"no pod can be attached: {'; '.join(progress.missing)}")
    if progress.locked:
        yield NodeProblem(Trouble.LOCK, "", progress.locked)


def _of_sidecar(status: AgentStatus) -> Iterator[NodeProblem]:
    if not status.sidecar.connected:
        problem = status.sidecar.problem or "it is not connected"
        yield NodeProblem(Trouble.SIDECAR, "", f"the BGP sidecar does not answer: {problem}; learned routes stay")


def _of_sessions(peers: Iterable[SessionStatus]) -> Iterator[NodeProblem]:
    for peer in peers:
        if peer.is_held_back:
            yield NodeProblem(
                Trouble.HELD_BACK, peer.address, f"the BGP session with {peer.address} is held back: {peer.info}"
            )
        elif not peer.is_up:
            why = f"; the last error: {peer.last_error}" if peer.last_error else ""
            yield NodeProblem(
                Trouble.SESSION, peer.address, f"the BGP session with {peer.address} is not up ({peer.info}){why}"
            )


def _of_routes(status: AgentStatus) -> Iterator[NodeProblem]:
    for prefix, why in status.refused_routes.items():
        yield NodeProblem(Trouble.ROUTE, prefix, f"the kernel refuses the route {prefix}: {why}; it is tried again")
    for kind, tunnel in status.tunnels.items():
        if tunnel.problem:
            yield NodeProblem(Trouble.TUNNEL, kind, f"the tunnel device {tunnel.device}: {tunnel.problem}")


def _others(status: AgentStatus) -> Iterator[NodeProblem]:
    for warning in status.progress.in_the_way:
        yield NodeProblem(Trouble[warning.issue.name], warning.text, warning.text)
    for one in status.invariants.violated:
        yield NodeProblem(Trouble.INVARIANT, str(one.number), f"invariant {one.number} is violated: {one.text}")
    for notice in status.notices:
        yield NodeProblem(Trouble.NOTICE, f"{notice.kind} {notice.name} {notice.field}", f"not obeyed: {notice}")
