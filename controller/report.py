"""What a controller says of itself, as values.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field
from msgspec.structs import replace

from controller.figures import NO_FIGURES, Counts, Figures, reclaimed
from datastore.kinds.pools import IPPool
from ipam.leaks import Collected

PATIENCE_SECONDS = 30.0


class Work(Struct, frozen=True):
    """What a leader has given back, and what holds it up."""

    addresses: int = 0
    handles: int = 0
    blocks: int = 0
    held: tuple[str, ...] = ()
    """Why nothing is given back, each a sentence; none: it is."""
    last_round: float | None = None
    """How long ago, in seconds, the last round over the whole cluster ended; None: none has yet."""
    unreadable: int = 0
    """Records of addresses that the last round could not read."""
    figures: Figures = NO_FIGURES
    """As of the last round."""
    reclaimed: Counts = field(default_factory=Counter)
    """The addresses that were given back, by pool and node."""

    def after(self, collected: Collected, pools: Iterable[IPPool] = ()) -> Work:
        return replace(
            self,
            reclaimed=Counter(self.reclaimed) + reclaimed(collected.addresses, pools),
            addresses=self.addresses + len(collected.addresses),
            handles=self.handles + len(collected.handles),
            blocks=self.blocks + len(collected.blocks),
        )


NO_WORK = Work()


class Report(Struct, frozen=True):
    """leader: who holds the Lease, "" = nobody, or it is not known. heard: how long ago the store told so and took
    what was to be written, in seconds; None: it has not yet. work: since it leads.
    """

    leads: bool
    leader: str
    heard: float | None
    work: Work = NO_WORK

    @property
    def missing(self) -> str:
        """What keeps this controller from being ready; "" = nothing. Standing by is being ready."""
        if self.heard is None:
            return "the Lease could not be read, or taken, yet"
        if self.heard > PATIENCE_SECONDS:
            return f"the Lease could not be read, or written, for {self.heard:.0f} s"
        return ""

    @property
    def role(self) -> str:
        if self.leads:
            return f"leading as {self.leader}"
        return f"standing by for {self.leader}" if self.leader else "standing by"
