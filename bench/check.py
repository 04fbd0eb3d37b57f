"""Is what was measured good enough? `python -m bench.check` compares the benchmarks' reports with bench/goals.py.

It prints a line for each goal: met, missed as known (bench/shortfalls.py says where that is explained), fell short, not
measured, or not counted by the test that counts it. It ends with 0 if none fell short and none is not measured. A
report of fewer rounds than make a figure counts as not measured, unless it only counts, and so does a file that is no
report.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from bench import result
from bench.goals import GOALS, Goal
from bench.result import LEAST_ROUNDS, Row
from bench.shortfalls import SHORTFALLS, Shortfall

State = Literal["met", "missed as known", "fell short", "not measured", "not counted"]
STATES: Sequence[State] = ("met", "missed as known", "fell short", "not measured", "not counted")
FAILURES = frozenset[State](("fell short", "not measured"))
EXPLAINED_IN = "docs/performance.md"


@dataclass(frozen=True, slots=True)
class Report:
    """What a benchmark has written, as far as it is judged."""

    machine: str
    rounds: int
    rows: tuple[Row, ...]
    ended: str = "at a time that is not known"


@dataclass(frozen=True, slots=True)
class Judged:
    """A goal beside what was found. found: in words."""

    goal: Goal
    state: State
    found: str


def judged(goal: Goal, report: Report | str | None, shortfall: Shortfall | None = None) -> Judged:
    """Judge a goal by the report of its benchmark; a text: why it could not be read; None: there is none.

    shortfall: how the goal is known to be missed.
    """
    again = f"run pytest {goal.counted_by}" if goal.counted_by else f"run make bench B={goal.bench}"
    if report is None:
        return Judged(goal, "not counted" if goal.counted_by else "not measured", again)
    if isinstance(report, str):
        return Judged(goal, "not measured", f"{report}; {again}")
    if report.rounds < LEAST_ROUNDS and not goal.counted_by:
        return Judged(goal, "not measured", f"{report.rounds} rounds, where {LEAST_ROUNDS} make a figure")
    row = next((row for row in report.rows if row.name == goal.row), None)
    if row is None:
        return Judged(goal, "not measured", "the report has no such row")
    figure = row.max if goal.most == 0 else row.ours  # none at all is meant of every round
    reached = row.ratio if goal.most is None else figure
    if reached is None:
        return Judged(goal, "not measured", "the row has no ratio")
    if _reaches(goal, reached, goal.most if goal.most is not None else round(goal.least_ratio or 0, 2)):
        return Judged(goal, "met", _found(row))
    if shortfall is None:
        return Judged(goal, "fell short", _found(row))
    if _reaches(goal, reached, shortfall.reached):
        return Judged(goal, "missed as known", f"{_found(row)}; {EXPLAINED_IN}, {shortfall.section}")
    return Judged(goal, "fell short", f"{_found(row)}; {shortfall.reached:g} was reached before")


def _reaches(goal: Goal, found: float, bound: float) -> bool:
    return found <= bound if goal.most is not None else found >= bound


def _found(row: Row) -> str:
    ours = f"{row.ours:,.4g} {row.unit}"
    if row.min is not None and row.max is not None:
        ours += f" ({row.min:,.4g} to {row.max:,.4g})"
    if row.ratio is None or row.peer is None:
        return ours
    return f"ratio {row.ratio:.2f}: {ours}, {row.peer_name} {row.peer:,.4g}"


def table(found: Sequence[Judged]) -> Iterator[str]:
    """Yield a line for each goal, and one that counts them."""
    bench = max(len(each.goal.bench) for each in found)
    row = max(len(each.goal.row) for each in found)
    goal = max(len(str(each.goal)) for each in found)
    for each in found:
        yield (f"{each.state:15}  {each.goal.bench:{bench}}  {each.goal.row:{row}}  {each.goal!s:{goal}}  {each.found}")
    counted = Counter(each.state for each in found)
    yield ", ".join(f"{counted[state]} {state}" for state in STATES)


def origins(written: Mapping[str, Report | str]) -> Iterator[str]:
    """Yield where and when each report was measured: what was written in another hour may have been with other code."""
    for name, report in sorted(written.items()):
        if isinstance(report, Report):
            yield f"{name}: {report.rounds} rounds, ended {report.ended}, on {report.machine}"


def reports(names: Iterable[str]) -> dict[str, Report | str]:
    """Return the reports that there are, or why they cannot be read, by the name of the benchmark."""
    paths = {name: result.FOLDER / f"{name}.json" for name in names}
    return {name: read(path) for name, path in paths.items() if path.exists()}


def read(path: Path) -> Report | str:
    """Return a report, or why it is none: it was cut short, or something else has written it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, ValueError, RecursionError) as error:
        return f"{path} cannot be read: {error}"


def main() -> int:
    written = reports({goal.bench for goal in GOALS})
    known = {(each.bench, each.row): each for each in SHORTFALLS}
    found = [judged(goal, written.get(goal.bench), known.get((goal.bench, goal.row))) for goal in GOALS]
    print("\n".join((*origins(written), *table(found))))
    return 1 if any(each.state in FAILURES for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
