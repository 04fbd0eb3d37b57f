"""What a lab is doing, as values: what its control socket answers, and what the report and the verdict are made of.

Pure. They travel as JSON (felix_py.status.status_json).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from felix_py.status_model import RouteStatus, SessionStatus


class NodeState(Struct, frozen=True):
    name: str
    addresses: tuple[str, ...] = ()
    as_number: int | None = None
    blocks: tuple[str, ...] = ()
    ready: bool = False
    peers: tuple[SessionStatus, ...] = ()
    routes: tuple[RouteStatus, ...] = ()


class PodState(Struct, frozen=True):
    name: str
    node: str
    addresses: tuple[str, ...] = ()


class RefusedPod(Struct, frozen=True):
    """A pod that the plugin refused, as expected: with this CNI error code."""

    name: str
    node: str
    code: int
    error: str


class Refusals(Struct, frozen=True):
    """expected: how many pods each node is to refuse, by its name."""

    expected: Mapping[str, int] = field(default_factory=dict)
    pods: tuple[RefusedPod, ...] = ()


class SessionCount(Struct, frozen=True):
    """Each session counts at both ends."""

    expected: int = 0
    established: int = 0


class PingCount(Struct, frozen=True):
    sent: int = 0
    lost: int = 0


class StreamReport(Struct, frozen=True):
    """One pod's pings to another. sent: since it began. unanswered: when those were sent that have no answer yet, by
    the monotonic clock: the last ones may be on their way.
    """

    source: str
    target: str
    sent: int = 0
    unanswered: tuple[float, ...] = ()


class InvariantCount(Struct, frozen=True):
    """violated: a sentence each, with the node's name."""

    checked: int = 0
    violated: tuple[str, ...] = ()


class LabState(Struct, frozen=True):
    """matrix: round trips in milliseconds, by pod and other pod. seconds: when each stage was reached.

    troubles: programs that have ended, a sentence each.
    """

    name: str
    nodes: tuple[NodeState, ...] = ()
    pods: tuple[PodState, ...] = ()
    refused: Refusals = Refusals()
    sessions: SessionCount = SessionCount()
    matrix: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pings: PingCount = PingCount()
    seconds: Mapping[str, float] = field(default_factory=dict)
    invariants: InvariantCount = InvariantCount()
    troubles: tuple[str, ...] = ()
