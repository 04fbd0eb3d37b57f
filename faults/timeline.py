"""A run as a person reads it: each fault, what was lost meanwhile, and when all was in sync again.

Pure: values in, text out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from faults.judge import losses
from faults.record import Run, Window

HEAD = f"{'at':>7}  {'fault':<20} {'node':<5} {'lost':>5}  {'in sync after':>13}  what was done"


def timeline(run: Run) -> Iterator[str]:
    """Yield the lines of a whole run."""
    lost = losses(run)
    yield f"seed {run.seed}, {run.minutes:g} min: {len(run.windows)} faults in {run.seconds:.0f} s"
    yield f"probes: {'; '.join(f'{pair.name} {pair.sent} sent, {len(pair.lost_at)} lost' for pair in run.pairs)}"
    yield ""
    yield HEAD
    for window, pairs in zip(run.windows, lost, strict=False):
        yield line(window, pairs)
        yield from details(window, pairs)
    yield ""
    if lost[-1]:
        yield f"lost while no fault was at work: {_by_pair(lost[-1])}"
    yield f"{run.operations} ADDs and DELs succeeded meanwhile; plugins also answered:"
    yield from (f"    {text}" for text in run.refusals or ("nothing else",))


def line(window: Window, pairs: Mapping[str, int]) -> str:
    """Return one fault's line. The time to be in sync counts from when the fault was made, or undone if it lasted."""
    fault = window.fault
    minutes, seconds = divmod(window.began, 60)
    after = "never" if window.trouble else f"{window.repaired_after:.2f} s"
    return (
        f"{int(minutes):>2}:{seconds:04.1f}  {fault.kind:<20} {fault.node:<5} {sum(pairs.values()):>5}  {after:>13}"
        f"  {window.did}"
    )


def details(window: Window, pairs: Mapping[str, int]) -> Iterator[str]:
    """Yield what one fault's line has no room for: which pairs lost probes, and why it was given up."""
    if pairs:
        yield f"{'':9}lost: {_by_pair(pairs)}"
    if window.trouble:
        yield f"{'':9}given up: {window.trouble}"


def _by_pair(pairs: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(pairs.items()))
