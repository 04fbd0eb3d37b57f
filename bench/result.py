"""What a benchmark found: rows of ours beside a peer's, written to build/bench/NAME.json and shown as a table."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).parent.parent / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. ratio > 1: ours is better."""

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float


def rate(name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, unit: str) -> Row:
    """Return the row of a rate, more of which is better: the medians of all rounds, and their ratio."""
    a, b = median(ours), median(peer)
    return Row(name, round(a, 3), round(b, 3), peer_name, unit, round(a / b, 2))


def duration(name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, unit: str) -> Row:
    """Return the row of a duration, less of which is better: the medians of all rounds, and their ratio."""
    a, b = median(ours), median(peer)
    return Row(name, round(a, 3), round(b, 3), peer_name, unit, round(b / a, 2))


def machine() -> str:
    """Return in one line what this was measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}"


def report(name: str, rows: Iterable[Row], remarks: Sequence[str] = ()) -> None:
    """Write the rows where a machine finds them, and print them for a person, with remarks that are no comparison.

    Raises ValueError: two rows have one name, so that `compare` would show only one of them.
    """
    found = list(rows)
    if twice := [row for row, times in Counter(row.name for row in found).items() if times > 1]:
        raise ValueError(f"bench {name}: several rows are called {', '.join(twice)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(
        json.dumps(
            {"name": name, "machine": machine(), "rows": [asdict(row) for row in found], "remarks": list(remarks)},
            indent=2,
        )
        + "\n"
    )
    width = max(len(row.name) for row in found)
    print(f"{machine()}")
    for row in found:
        print(
            f"{row.name:{width}}  ours {row.ours:12,.4g} {row.unit}  {row.peer_name} {row.peer:12,.4g} {row.unit}"
            f"  ratio {row.ratio:.2f}"
        )
    for remark in remarks:
        print(remark)
    print(f"written to {path}")
