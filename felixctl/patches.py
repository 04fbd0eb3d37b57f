"""Small changes to what people see of a resource: labels, and JSON merge patches.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from felixctl.changes import Json, RejectedError


def labelled(seen: Json, labels: Mapping[str, str | None], *, overwrite: bool) -> Json:
    """Return the view with labels set, or removed where the value is None.

    Raises RejectedError: a label has another value already and `overwrite` is not given.
    """
    old = seen["metadata"].get("labels") or {}
    taken = [key for key, value in labels.items() if value is not None and old.get(key, value) != value]
    if taken and not overwrite:
        name = f'{seen["kind"]} "{seen["metadata"]["name"]}"'
        raise RejectedError(f"label {name}: {k} is {old[k]!r} already; give --overwrite to change it" for k in taken)
    kept = {key: value for key, value in {**old, **labels}.items() if value is not None}
    return {**seen, "metadata": {**seen["metadata"], "labels": kept}}


def merged(seen: Any, patch: Any) -> Any:
    """Return the value with a JSON merge patch (RFC 7396) carried out: null removes, mappings merge."""
    if not isinstance(patch, dict):
        return patch
    base = dict(seen) if isinstance(seen, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base
