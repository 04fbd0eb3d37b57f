"""What is wrong with a lab run, if anything, and its numbers for a machine.

Pure: the state of the cluster comes in as plain values (lab/state.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SHARED_FOLDERS = ("/tmp", "/dev/shm")
"""Any program may write here at any moment: what is new there is reported, but cannot be attributed to the lab."""


def run_numbers(state: Mapping[str, Any], leftovers: Iterable[str]) -> dict[str, Any]:
    """Return the numbers of a run."""
    refused = state["refused"]
    return {
        "nodes": len(state["nodes"]),
        "pods": len(state["pods"]),
        **({"refused": refused_by_node(refused)} if refused["expected"] else {}),
        "sessions": state["sessions"],
        "pings": state["pings"],
        "seconds": {name: state["seconds"].get(name) for name in ("up", "established", "reachable", "total")},
        "invariants": state["invariants"],
        "leftovers": list(leftovers),
    }


def refused_by_node(refused: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return how many pods each node was expected to refuse, and how many it did."""
    return {
        node: {"expected": expected, "refused": sum(pod["node"] == node for pod in refused["pods"])}
        for node, expected in refused["expected"].items()
    }


def faults(numbers: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a run, one sentence each; nothing if it is as it should be."""
    sessions, pings, invariants = numbers["sessions"], numbers["pings"], numbers["invariants"]
    found = []
    if sessions["established"] != sessions["expected"]:
        found.append(f"only {sessions['established']} of {sessions['expected']} sessions are up")
    if pings["lost"]:
        found.append(f"{pings['lost']} of {pings['sent']} pings were lost")
    for node, pods in numbers.get("refused", {}).items():
        if pods["refused"] != pods["expected"]:
            found.append(f"pods refused on {node}: {pods['refused']}, while the spec expects {pods['expected']}")
    if not invariants["checked"]:
        found.append("no agent has checked its invariants")
    if numbers["seconds"]["reachable"] is None:
        found.append("the pods did not all reach one another in time")
    found += (f"invariant violated on {text}" for text in invariants["violated"])
    found += (f"left behind: {text}" for text in attributable(numbers["leftovers"]))
    return found


def attributable(leftovers: Iterable[str]) -> list[str]:
    """Return the leftovers that no other program of this host would make."""
    return [left for left in leftovers if not left.startswith(tuple(f"file {folder}/" for folder in SHARED_FOLDERS))]
