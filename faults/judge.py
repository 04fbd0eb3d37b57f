"""What a run's record amounts to: whose fault each lost probe is, the numbers for a machine, and what is not allowed.

Pure. Faults follow one another, so a probe that was lost is the fault's in whose window it was sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from faults.kinds import ANY, KINDS, LOST_BY_A_FOREIGN_CHANGE
from faults.record import Run, Window

BETWEEN = "between faults"
ON_ITS_WAY_SECONDS = 0.05  # a probe sent so shortly before a fault may meet it


def losses(run: Run) -> tuple[Mapping[str, int], ...]:
    """Return what was lost in each window, by the pair's name; at the end, what was lost in none."""
    found: tuple[Counter[str], ...] = tuple(Counter() for _ in range(len(run.windows) + 1))
    for pair in run.pairs:
        for moment in pair.lost_at:
            found[_window_of(run.windows, moment)][pair.name] += 1
    return found


def _window_of(windows: Sequence[Window], moment: float) -> int:
    """Return the number of the window that a moment lies in; how many there are, if it lies in none."""
    for number, window in enumerate(windows):
        if window.began - ON_ITS_WAY_SECONDS <= moment <= window.ended:
            return number
    return len(windows)


def numbers(run: Run) -> dict[str, Any]:
    """Return the numbers of a run, for JSON."""
    lost = losses(run)
    by_fault: Counter[str] = Counter()
    for window, pairs in zip(run.windows, lost, strict=False):
        by_fault[window.fault.kind] += sum(pairs.values())
    if outside := sum(lost[-1].values()):
        by_fault[BETWEEN] = outside
    return {
        "seed": run.seed,
        "seconds": round(run.seconds, 1),
        "faults": dict(Counter(window.fault.kind for window in run.windows)),
        "probes": {
            "sent": sum(pair.sent for pair in run.pairs),
            "lost": sum(by_fault.values()),
            "lost_by_fault": dict(by_fault),
        },
        "operations": run.operations,
        "leaks": len(run.leaks),
        "invariants": {"checked": run.checked, "violated": len(run.violated)},
        "tracebacks": len(run.tracebacks),
    }


def failures(run: Run, *, busy: bool = False) -> Iterator[str]:
    """Yield what a run must not have, a sentence each.

    busy: other work has the processors too. Then an agent that puts a route right may have to wait for one, so that
    what a foreign change cost is reported and not judged.
    """
    lost = losses(run)
    if not run.windows or run.trouble:
        yield f"no fault was made: {run.trouble or 'none fits into the time'}"
    for number, (window, pairs) in enumerate(zip(run.windows, lost, strict=False), 1):
        fault, count = window.fault, sum(pairs.values())
        most = KINDS[fault.kind].most_lost
        if busy and most == LOST_BY_A_FOREIGN_CHANGE:
            most = ANY
        if most is not None and count > most:
            yield f"fault {number}, {fault.kind} on {fault.node}: {count} probes were lost; at most {most} may be"
        if window.trouble:
            yield f"fault {number}, {fault.kind} on {fault.node}: {window.trouble}"
    if outside := sum(lost[-1].values()):
        yield f"{outside} probes were lost while no fault was at work"
    if not all(pair.sent for pair in run.pairs) or not run.pairs:
        yield "not every pair of pods sent probes"
    if not run.operations:
        yield "no pod came or went meanwhile"
    if not run.checked:
        yield "no invariant was checked"
    yield from (f"leak: {text}" for text in run.leaks)
    yield from (f"invariant violated: {text}" for text in run.violated)
    yield from (f"traceback: {text}" for text in run.tracebacks)
