"""The files by which container runtimes know networks: ours, and which of several is taken.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

BINARY = "felix"
CONFLIST = "10-felix.conflist"

_ENDINGS = (".conf", ".conflist", ".json")


def first_of(names: Iterable[str]) -> str | None:
    """Return which of these files a runtime takes instead of ours; None if it takes ours, once that is there."""
    first = min({name for name in names if name.endswith(_ENDINGS)} | {CONFLIST})
    return None if first == CONFLIST else first
