"""What a benchmark found: rows of ours beside a peer's, in build/bench/NAME.json, as a table, and as a picture."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.picture import Bar, bars

FOLDER = Path(__file__).parent.parent / "build" / "bench"


LEAST_ROUNDS = 5
"""A figure of fewer rounds is a trial, and `make bench-check` does not take it for one."""


def rounds_of(arguments: Sequence[str]) -> int:
    """Return how many rounds a command line asks for, by its only word. Raises SystemExit: it asks for none."""
    match arguments:
        case []:
            return LEAST_ROUNDS
        case [text] if text.isascii() and text.isdigit() and int(text):
            return int(text)
    raise SystemExit(f"how many rounds? It is one number, from 1 on, and not {' '.join(arguments)}")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. ratio > 1: ours is better. min, max: of ours, among all rounds.

    Where nothing was measured beside it, peer and ratio are None and peer_name is empty.
    """

    name: str
    ours: float
    peer: float | None
    peer_name: str
    unit: str
    ratio: float | None
    min: float | None = None
    max: float | None = None


def rate(name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, unit: str) -> Row:
    """Return the row of a rate, more of which is better: the medians of all rounds, and their ratio."""
    return _row(name, ours, median(peer), peer_name, unit, median(ours) / median(peer))


def duration(name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, unit: str) -> Row:
    """Return the row of a duration, less of which is better: the medians of all rounds, and their ratio."""
    return _row(name, ours, median(peer), peer_name, unit, median(peer) / median(ours))


def figure(name: str, ours: Sequence[float], unit: str) -> Row:
    """Return the row of what was counted or measured with nothing beside it: the median of all rounds."""
    return _row(name, ours, None, "", unit, None)


def _row(name: str, ours: Sequence[float], peer: float | None, peer_name: str, unit: str, ratio: float | None) -> Row:
    return Row(
        name,
        round(median(ours), 3),
        peer and round(peer, 3),
        peer_name,
        unit,
        ratio and round(ratio, 2),
        round(min(ours), 3),
        round(max(ours), 3),
    )


def machine() -> str:
    """Return in one line what this was measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}"


def report(name: str, rows: Iterable[Row], rounds: int, remarks: Sequence[str] = (), *, picture: str = "") -> None:
    """Write the rows where a machine finds them, and print them for a person, with remarks that are no comparison.

    picture: an SVG, where bars of the ratios would not show it.

    Raises ValueError: two rows have one name, so that `compare` would show only one of them.
    """
    found = list(rows)
    if twice := [row for row, times in Counter(row.name for row in found).items() if times > 1]:
        raise ValueError(f"bench {name}: several rows are called {', '.join(twice)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    written = {
        "name": name,
        "machine": machine(),
        "ended": datetime.now(UTC).isoformat(timespec="minutes"),
        "rounds": rounds,
        "rows": [asdict(row) for row in found],
        "remarks": list(remarks),
    }
    partial = path.with_suffix(".partial")  # a run that is interrupted here leaves the report before whole
    partial.write_text(json.dumps(written, indent=2) + "\n")
    partial.replace(path)
    compared = [Bar(row.name, row.ratio, _figures(row)) for row in found if row.ratio]
    title = f"bench {name}: {rounds} rounds on {machine()}"
    path.with_suffix(".svg").write_text(picture or bars(title, compared))
    print(f"{machine()}, {rounds} rounds")
    if rounds < LEAST_ROUNDS:
        print(f"a trial: {LEAST_ROUNDS} rounds make a figure")
    width = max(len(row.name) for row in found)
    for row in found:
        print(f"{row.name:{width}}  {_figures(row)}")
    for remark in remarks:
        print(remark)
    print(f"written to {path} and {path.with_suffix('.svg').name}")


def _figures(row: Row) -> str:
    ours = f"ours {row.ours:12,.4g} {row.unit}"
    return ours if row.ratio is None else f"{ours}  {row.peer_name} {row.peer:12,.4g} {row.unit}  ratio {row.ratio:.2f}"
