"""Why two addresses reach each other, or which step is the first that is broken.

Pure: facts in, steps out. What breaks a step is named with its cause, its effect, the command that shows it, and,
where that is safe to run at once, the one that repairs it.
"""

from __future__ import annotations

from explain.address import about_end
from explain.ends import End
from explain.facts import ClusterFacts, Leg
from explain.step import Step, Verdict, verdict
from explain.walk import walk


def explain(facts: ClusterFacts, one: End, other: End) -> tuple[tuple[Step, ...], Verdict]:
    """Return every step, and what they mean: what the records say of both, the way there, and the way back."""
    steps = [*about_end(facts.records, one), *about_end(facts.records, other)]
    if one.address and other.address:
        for direction, start, goal in (("there", one, other), ("back", other, one)):
            if start.sends:
                steps += walk(Leg(facts, direction, start, goal))
    return tuple(steps), verdict(f"{one.title} and {other.title}", steps)
