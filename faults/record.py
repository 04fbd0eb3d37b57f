"""What happened in a run, as values: they travel from the lab to whoever judges them.

Pure. Times are seconds since the run began.
"""

from __future__ import annotations

from msgspec import Struct

from faults.schedule import Fault


class Window(Struct, frozen=True):
    """One fault and what came of it.

    began: when it was about to be made. undone: when nothing kept anybody from repairing it any more. ended: when all
    was in sync again and probes flowed, or was given up; then `trouble` says what was not in sync. did: what was done.
    """

    fault: Fault
    began: float
    undone: float
    ended: float
    did: str = ""
    trouble: str = ""

    @property
    def repaired_after(self) -> float:
        return self.ended - self.undone


class Pair(Struct, frozen=True):
    """A pod that probes another. lost_at: when the probes were sent that were never answered."""

    source: str
    target: str
    sent: int = 0
    lost_at: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.source} → {self.target}"


class Run(Struct, frozen=True):
    """A whole run. operations: how many ADDs and DELs succeeded. checked: how many invariants were looked at.

    trouble: why no fault could be made; "" = they were. leaks, violated, tracebacks: a sentence each. refusals: what
    plugins answered but for "try again later", and how often.
    """

    seed: int
    minutes: float
    seconds: float
    trouble: str = ""
    windows: tuple[Window, ...] = ()
    pairs: tuple[Pair, ...] = ()
    operations: int = 0
    refusals: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    checked: int = 0
    violated: tuple[str, ...] = ()
    tracebacks: tuple[str, ...] = ()
