"""What is wrong with a lab run, if anything, and its numbers for a machine.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from felix_py.status.status_json import to_json
from lab.state_model import LabState, Refusals

LAB_PATHS = (
    "/run/felix",
    "/run/netns/cni-",
    "/run/bird.",
    "/run/frr",
    "/run/gobgpd.",
    "/run/lab.sock",
    "/run/wall-clock-shift",
    "/etc/cni/",
    "/mnt",
    "/opt/cni/",
    "/var/lib/felix",
    "/var/lib/calico",
    "/var/lib/cni",
)
"""How the paths begin that a lab's programs write or mount on. Any other new file or mount is reported, but may be
another program's: the first iptables of a host makes /run/xtables.lock, who builds an image mounts its layers."""


STAGES = ("up", "established", "reachable", "total")


def run_numbers(state: LabState, leftovers: Iterable[str]) -> dict[str, Any]:
    """Return the numbers of a run, for JSON."""
    refused = {node: pods._asdict() for node, pods in refused_by_node(state.refused).items()}
    return {
        "nodes": len(state.nodes),
        "pods": len(state.pods),
        **({"refused": refused} if refused else {}),
        "sessions": to_json(state.sessions),
        "pings": to_json(state.pings),
        "seconds": {stage: state.seconds.get(stage) for stage in STAGES},
        "invariants": to_json(state.invariants),
        "leftovers": list(leftovers),
    }


class RefusedCount(NamedTuple):
    expected: int
    refused: int


def refused_by_node(refusals: Refusals) -> dict[str, RefusedCount]:
    """Return how many pods each node was expected to refuse, and how many it did."""
    return {
        node: RefusedCount(expected, sum(pod.node == node for pod in refusals.pods))
        for node, expected in refusals.expected.items()
    }


def faults(state: LabState, leftovers: Iterable[str]) -> list[str]:
    """Return what is wrong with a run, one sentence each; nothing if it is as it should be."""
    sessions, pings, invariants = state.sessions, state.pings, state.invariants
    found = []
    if sessions.established != sessions.expected:
        found.append(f"only {sessions.established} of {sessions.expected} sessions are up")
    if pings.lost:
        found.append(f"{pings.lost} of {pings.sent} pings were lost")
    for node, pods in refused_by_node(state.refused).items():
        if pods.refused != pods.expected:
            found.append(f"pods refused on {node}: {pods.refused}, while the spec expects {pods.expected}")
    if not invariants.checked:
        found.append("no agent has checked its invariants")
    if "reachable" not in state.seconds:
        found.append("the pods did not all reach one another in time")
    found += (f"invariant violated on {text}" for text in invariants.violated)
    found += (f"left behind: {text}" for text in attributable(leftovers))
    return found


def attributable(leftovers: Iterable[str]) -> list[str]:
    """Return the leftovers that are held against the lab, not against another program of this host."""
    of_labs = tuple(f"{what} {path}" for what in ("file", "mount") for path in LAB_PATHS)
    return [left for left in leftovers if left.startswith(of_labs) or not left.startswith(("file ", "mount "))]
