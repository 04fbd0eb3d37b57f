"""What of a node this side may write: Calico's annotations and our own, never the whole. Pure."""

from __future__ import annotations

from typing import Any

from datastore.kinds.node import ANNOTATION_PREFIX, OWN_PREFIX, Node


def changed_annotations(before: Node, after: Node) -> dict[str, Any]:
    """Return the merge patch that makes Calico's annotations and ours those of `after`; null removes one."""
    written = ANNOTATION_PREFIX, OWN_PREFIX
    old, new = (
        {key: text for key, text in node.metadata.annotations.items() if key.startswith(written)}
        for node in (before, after)
    )
    changes: dict[str, str | None] = {key: text for key, text in new.items() if old.get(key) != text}
    changes |= {key: None for key in old if key not in new}
    return {"metadata": {"resourceVersion": before.revision, "annotations": changes}} if changes else {}
