"""Which learned prefixes a new connection to the sidecar has not repeated.

Pure: no I/O, no clock, no logging. The sidecar forgets nothing while the agent reconnects, but a sidecar started anew
begins with an empty RIB-in: what it has not announced by the time its sessions have converged is gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from net.prefix import Prefix


class ReplayTracker:
    """The prefixes learned over an earlier connection only; none once a connection has converged."""

    def __init__(self) -> None:
        self._unconfirmed: set[Prefix] = set()

    def connected(self, held: Iterable[Prefix]) -> None:
        """Take in that a connection begins. held: what was learned before, and not withdrawn."""
        self._unconfirmed = set(held)

    def said(self, prefixes: Iterable[Prefix]) -> None:
        """Take in which prefixes this connection has learned or withdrawn."""
        if self._unconfirmed:
            self._unconfirmed.difference_update(prefixes)

    def converged(self) -> tuple[Prefix, ...]:
        """Return what this connection has not repeated, once."""
        gone, self._unconfirmed = tuple(self._unconfirmed), set()
        return gone
