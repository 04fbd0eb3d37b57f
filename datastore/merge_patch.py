"""JSON merge patches (RFC 7396): a change of a record that names only what changes.

Pure.
"""

from __future__ import annotations

from typing import Any


def merged(record: Any, patch: Any) -> Any:
    """Return the JSON value after the patch: objects are merged, null removes a member, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    base = dict(record) if isinstance(record, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base
