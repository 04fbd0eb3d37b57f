"""What of a node this side may write: annotations of Calico's and of ours, never the whole. Pure."""

from __future__ import annotations

from typing import Any

from datastore.kinds.node import ANNOTATION_PREFIX, OWN_PREFIX, Node

PREFIXES = (ANNOTATION_PREFIX, OWN_PREFIX)
"""Of annotations that are this side's to write."""


def annotations_patch(before: Node, after: Node) -> dict[str, Any]:
    """Return the merge patch that makes the annotations of `before` those of `after`; null removes one."""
    old, new = _ours(before), _ours(after)
    changes: dict[str, str | None] = {key: text for key, text in new.items() if old.get(key) != text}
    changes |= {key: None for key in old if key not in new}
    return {"metadata": {"resourceVersion": before.revision, "annotations": changes}} if changes else {}


def other_changes(before: Node, after: Node) -> list[str]:
    """Return what else differs, by where it stands: that is Kubernetes' to write."""
    first, second = before.to_json(), after.to_json()
    found = [f"metadata.annotations {key}" for key in _differing(_others(before), _others(after))]
    found += [f"metadata.labels {key}" for key in _differing(before.metadata.labels, after.metadata.labels)]
    return found + [part for part in ("spec", "status") if first.get(part) != second.get(part)]


def _ours(node: Node) -> dict[str, str]:
    return {key: text for key, text in node.metadata.annotations.items() if key.startswith(PREFIXES)}


def _others(node: Node) -> dict[str, str]:
    return {key: text for key, text in node.metadata.annotations.items() if not key.startswith(PREFIXES)}


def _differing(first: Any, second: Any) -> list[str]:
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key))
