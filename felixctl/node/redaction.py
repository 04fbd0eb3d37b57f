"""Remove secrets from what leaves a node in an archive.

Pure. In doubt a value is removed.
"""

from __future__ import annotations

import re
from typing import Any

LEFT_OUT = "<left out>"
_SECRET = re.compile(r"passw|secret|token|credential|private|\bkey\b|psk|md5", re.IGNORECASE)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_WORDS = re.compile(
    r"(?P<name>[\w.-]*(?:password|passwd|secret|token|credential|private-key|md5-password)[\w.-]*)"
    r"(?P<gap>[\"']?\s*[:=]?\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s;,\"']+)",
    re.IGNORECASE,
)
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@]+@")


def record(value: Any, name: str = "") -> Any:
    """Return a record whose texts under a name that sounds like a secret are left out, at any depth.

    A reference to a secret (its object's name) stays: it is a mapping, and no secret itself.
    """
    match value:
        case dict():
            return {
                key: LEFT_OUT if key == _LAST_APPLIED else _reference(inner) if _refers(key) else record(inner, key)
                for key, inner in value.items()
            }
        case list():
            return [record(item, name) for item in value]
        case str() if _SECRET.search(name):
            return LEFT_OUT
        case _:
            return value


def _refers(key: str) -> bool:
    return key.endswith("KeyRef")


def _reference(value: Any) -> Any:
    return value if isinstance(value, dict) else LEFT_OUT


def text(written: str) -> str:
    """Return a log, a configuration or a listing with what follows the word for a secret left out."""
    without = _WORDS.sub(lambda found: f"{found['name']}{found['gap']}{LEFT_OUT}", written)
    return _URL.sub(rf"\g<scheme>{LEFT_OUT}@", without)
