"""Is what was measured good enough? `python -m bench.check` compares the benchmarks' reports with bench/goals.py.

It prints a line for each goal, met, fell short or not measured, and ends with 0 only if every goal is met. A report of
fewer rounds than make a figure counts as not measured, unless it only counts.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench import result
from bench.goals import GOALS, Goal
from bench.result import LEAST_ROUNDS, Row

State = Literal["met", "fell short", "not measured"]
STATES: Sequence[State] = ("met", "fell short", "not measured")


@dataclass(frozen=True, slots=True)
class Judged:
    """A goal beside what was found. found: in words."""

    goal: Goal
    state: State
    found: str


def judged(goal: Goal, report: Mapping[str, Any] | None) -> Judged:
    """Judge a goal by the report of its benchmark; None: there is none."""
    if report is None:
        how = f"pytest {goal.counted_by}" if goal.counted_by else f"make bench B={goal.bench}"
        return Judged(goal, "not measured", f"run {how}")
    if (rounds := report.get("rounds", 0)) < LEAST_ROUNDS and not goal.counted_by:
        return Judged(goal, "not measured", f"{rounds} rounds, where {LEAST_ROUNDS} make a figure")
    row = next((Row(**each) for each in report["rows"] if each["name"] == goal.row), None)
    if row is None:
        return Judged(goal, "not measured", "the report has no such row")
    figure = row.max if goal.most == 0 else row.ours  # none at all is meant of every round
    reached = row.ratio if goal.most is None else figure
    if reached is None:
        return Judged(goal, "not measured", "the row has no ratio")
    met = reached <= goal.most if goal.most is not None else reached >= round(goal.least_ratio or 0, 2)
    return Judged(goal, "met" if met else "fell short", _found(row))


def _found(row: Row) -> str:
    ours = f"{row.ours:,.4g} {row.unit} ({row.min:,.4g} to {row.max:,.4g})"
    return ours if row.ratio is None else f"ratio {row.ratio:.2f}: {ours}, {row.peer_name} {row.peer:,.4g}"


def table(found: Sequence[Judged]) -> Iterator[str]:
    """Yield a line for each goal, and one that counts them."""
    bench = max(len(each.goal.bench) for each in found)
    row = max(len(each.goal.row) for each in found)
    goal = max(len(str(each.goal)) for each in found)
    for each in found:
        yield (f"{each.state:12}  {each.goal.bench:{bench}}  {each.goal.row:{row}}  {each.goal!s:{goal}}  {each.found}")
    counted = Counter(each.state for each in found)
    yield ", ".join(f"{counted[state]} {state}" for state in STATES)


def reports(names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the reports that there are, by the name of the benchmark."""
    paths = {name: result.FOLDER / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def main() -> int:
    written = reports({goal.bench for goal in GOALS})
    found = [judged(goal, written.get(goal.bench)) for goal in GOALS]
    for machine in sorted({report["machine"] for report in written.values()}):
        print(machine)
    print("\n".join(table(found)))
    return 0 if all(each.state == "met" for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
