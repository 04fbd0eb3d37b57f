"""What a lab is doing, as values: what its control socket answers, and what the report and the verdict are made of.

Pure. They travel as JSON (felix_py.status_json).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from felix_py.status_model import RouteStatus, SessionStatus


@dataclass(frozen=True, slots=True)
class NodeState:
    name: str
    addresses: tuple[str, ...] = ()
    as_number: int | None = None
    blocks: tuple[str, ...] = ()
    ready: bool = False
    peers: tuple[SessionStatus, ...] = ()
    routes: tuple[RouteStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class PodState:
    name: str
    node: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedPod:
    """A pod that the plugin refused, as expected: with this CNI error code."""

    name: str
    node: str
    code: int
    error: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """expected: how many pods each node is to refuse, by its name."""

    expected: Mapping[str, int] = field(default_factory=dict)
    pods: tuple[RefusedPod, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionCount:
    """Each session counts at both ends."""

    expected: int = 0
    established: int = 0


@dataclass(frozen=True, slots=True)
class PingCount:
    sent: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One pod's pings to another. sent: since it began. unanswered: when those were sent that have no answer yet, by
    the monotonic clock: the last ones may be on their way.
    """

    source: str
    target: str
    sent: int = 0
    unanswered: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class InvariantCount:
    """violated: a sentence each, with the node's name."""

    checked: int = 0
    violated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabState:
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
