"""When so much looks gone at once that it is rather the datastore that has lost it.

Pure. Nodes are drained and deleted one by one or some at a time, and pods give their addresses back when they end. If
most hosts are no nodes any more, or most addresses belong to nobody, nothing is given back for a time in which somebody
can look; what is gone all that time is gone. Those who shrink clusters like that set the time to 0.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

MANY_HOSTS = 5
"""Fewer may well go at once."""
MANY_ADDRESSES = 50
MOST = 0.5


class Lost(NamedTuple):
    """How many of a kind look gone, and of how many."""

    what: str
    gone: int
    of: int
    many: int

    @property
    def is_suspicious(self) -> bool:
        return self.gone >= self.many and self.gone > MOST * self.of


def lost_hosts(gone: int, nodes: int) -> Lost:
    return Lost("hosts that claim blocks are no nodes any more", gone, gone + nodes, MANY_HOSTS)


def lost_addresses(leaked: int, assigned: int) -> Lost:
    return Lost("assigned addresses are of pods or nodes that are gone", leaked, assigned, MANY_ADDRESSES)


class Doubt(Struct, frozen=True):
    """Since when one kind of loss has been suspicious."""

    hold_seconds: float
    since: float | None = None

    def looked(self, lost: Lost, now: float) -> tuple[Doubt, str]:
        """Return the doubt after another look, and why nothing is given back, as a sentence; "": it is.

        now: in seconds from any beginning.
        """
        if not lost.is_suspicious or not self.hold_seconds:
            return replace(self, since=None), ""
        since = now if self.since is None else self.since
        left = since + self.hold_seconds - now
        doubt = replace(self, since=since)
        if left <= 0:
            return doubt, ""
        return doubt, (
            f"{lost.gone} of {lost.of} {lost.what}: the datastore may have lost them, so nothing is given back for"
            f" {left / 60:.0f} min more; put them back, or set FELIX_LOSSHOLDPERIOD to 0 if they are to go"
        )
