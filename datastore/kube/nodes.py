"""What of a node this side may write: annotations of Calico's and of ours, and one condition, never the whole. Pure."""

from __future__ import annotations

from typing import Any

from datastore.kinds.node import ANNOTATION_PREFIX, NETWORK_UNAVAILABLE, OWN_PREFIX, Node

PREFIXES = (ANNOTATION_PREFIX, OWN_PREFIX)
"""Of annotations that are this side's to write."""


def node_patch(before: Node, after: Node) -> dict[str, Any]:
    """Return the strategic merge patch that makes what is ours of `before` that of `after`.

    It removes an annotation by null, and of a status it replaces only the conditions that it names.
    """
    old, new = _ours(before), _ours(after)
    changes: dict[str, str | None] = {key: text for key, text in new.items() if old.get(key) != text}
    changes |= {key: None for key in old if key not in new}
    condition = after.network_condition
    patch: dict[str, Any] = {"metadata": {"annotations": changes}} if changes else {}
    if condition != before.network_condition:
        patch["status"] = {"conditions": [condition]}
    return patch and patch | {"metadata": {"resourceVersion": before.revision, **patch.get("metadata", {})}}


def other_changes(before: Node, after: Node) -> list[str]:
    """Return what else differs, by where it stands: that is Kubernetes' to write."""
    first, second = before.to_json(), after.to_json()
    found = [f"metadata.annotations {key}" for key in _differing(_others(before), _others(after))]
    found += [f"metadata.labels {key}" for key in _differing(before.metadata.labels, after.metadata.labels)]
    if after.network_condition is not None:
        first["status"], second["status"] = _without_condition(first), _without_condition(second)
    return found + [part for part in ("spec", "status") if first.get(part) != second.get(part)]


def _ours(node: Node) -> dict[str, str]:
    return {key: text for key, text in node.metadata.annotations.items() if key.startswith(PREFIXES)}


def _others(node: Node) -> dict[str, str]:
    return {key: text for key, text in node.metadata.annotations.items() if not key.startswith(PREFIXES)}


def _without_condition(record: dict[str, Any]) -> dict[str, Any]:
    """Return a Node's status without the condition that is this side's to write."""
    status = record.get("status") or {}
    conditions = [one for one in status.get("conditions") or () if one["type"] != NETWORK_UNAVAILABLE]
    return {**status, "conditions": conditions}


def _differing(first: Any, second: Any) -> list[str]:
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key))
