"""What a controller says of itself, as values.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Report:
    """leader: who holds the Lease, "" = nobody, or it is not known. heard: how long ago the store told so, in seconds;
    None: it has not yet.
    """

    leads: bool
    leader: str
    heard: float | None

    @property
    def missing(self) -> str:
        """What keeps this controller from being ready; "" = nothing. Standing by is being ready."""
        if self.heard is None:
            return "the Lease could not be read yet"
        if self.heard > PATIENCE_SECONDS:
            return f"the Lease could not be read for {self.heard:.0f} s"
        return ""

    @property
    def role(self) -> str:
        if self.leads:
            return f"leading as {self.leader}"
        return f"standing by for {self.leader}" if self.leader else "standing by"
