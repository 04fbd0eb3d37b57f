"""A run's record for the tests of this folder: two faults, and what three pairs lost."""

from __future__ import annotations

from faults.record import Pair, Run, Window
from faults.schedule import Fault

KILL = Window(Fault("kill agent", "n1", "n2"), 2.0, 2.0, 3.5, did="kill -9 agent")
STOP = Window(Fault("stop exabgp", "n3", "n1", 1.0), 4.0, 5.0, 7.0, did="kill -STOP exabgp")


def record(*lost_at: float) -> Run:
    """Return a run that is as it should be, but for the probes of one pair that were lost at these moments."""
    pairs = (Pair("n1-1", "n2-1", 800, lost_at), Pair("n2-1", "n3-1", 800), Pair("n3-1", "n1-1", 800))
    return Run(7, 0.2, 8.0, windows=(KILL, STOP), pairs=pairs, operations=40, checked=96)
