"""Which prefixes something has happened to. Pure."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from net.prefix import Prefix

MOST = 1000
"""To ask the kernel for so many routes one by one takes as long as to read a table of ten times as many."""


class Touched:
    """The prefixes that were added since they were last taken; of many, as at first, only that it may be any."""

    def __init__(self) -> None:
        self._prefixes: set[Prefix] | None = None

    def add(self, prefixes: Collection[Prefix]) -> None:
        if self._prefixes is None:
            return
        if len(self._prefixes) + len(prefixes) > MOST:
            self._prefixes = None
        else:
            self._prefixes.update(prefixes)

    def take(self) -> AbstractSet[Prefix] | None:
        """Return the prefixes, and begin anew. None: it may be any."""
        taken, self._prefixes = self._prefixes, set()
        return taken
