"""Which learned prefixes a new connection to the sidecar has not repeated.

Pure: no I/O, no clock, no logging. The sidecar forgets nothing while the agent reconnects, but a sidecar started anew
begins with an empty RIB-in: what it has not announced by the time its sessions have converged is gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from net.prefix import Prefix


class ReplayTracker:
    """The prefixes reported as learned, over all connections."""

    def __init__(self) -> None:
        self._reported: set[Prefix] = set()
        self._unconfirmed: set[Prefix] = set()  # reported on an earlier connection only

    def connected(self) -> None:
        self._unconfirmed = set(self._reported)

    def learned(self, prefixes: Iterable[Prefix]) -> None:
        self._reported.update(prefixes)
        self._unconfirmed.difference_update(prefixes)

    def withdrawn(self, prefixes: Iterable[Prefix]) -> None:
        self._reported.difference_update(prefixes)
        self._unconfirmed.difference_update(prefixes)

    def converged(self) -> tuple[Prefix, ...]:
        """Return what this connection has not repeated; it counts as withdrawn from here on."""
        gone = tuple(self._unconfirmed)
        self.withdrawn(gone)
        return gone
