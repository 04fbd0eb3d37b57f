"""The passwords last read, as the agent notes them for its own next start: a file that root alone can read.

Pure. Without it, an agent that starts while the Secrets cannot be read would not know the passwords of the sessions
that its sidecar has kept up meanwhile, and would end them.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping

Named = Mapping[str, frozenset[str]]
"""The keys that sessions name, by Secret."""


def note_of(namespace: str, values: Mapping[str, Mapping[str, bytes]], named: Named) -> str:
    """Return what is noted: of each Secret the keys that are named and there, and nothing where there is none."""
    kept = {
        secret: {key: b64encode(values[secret][key]).decode() for key in sorted(keys & values[secret].keys())}
        for secret, keys in sorted(named.items())
        if secret in values
    }
    return json.dumps({"namespace": namespace, "secrets": kept}) if kept else ""


def values_of(note: str, namespace: str) -> dict[str, dict[str, bytes]]:
    """Return the values by Secret and key; nothing where the note is of another namespace, or is none."""
    try:
        match json.loads(note):
            case {"namespace": str(where), "secrets": dict(secrets)} if where == namespace:
                return {
                    str(secret): {str(key): b64decode(value, validate=True) for key, value in values.items()}
                    for secret, values in secrets.items()
                }
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {}
