"""Two checkouts side by side: `python -m bench compare OLD NEW fib cni [--rounds N]`.

Each round runs the same benchmark of both, one after the other, each with its own code, virtual environment and rows;
who goes first changes with every round, so that what else the machine does meets both alike. A row shows the ratio
within each round: the median over the rounds, the least and the greatest. Above 1, NEW is better.

The peer is the same program in both, so its ratio shows how much the machine changed between the two, and no smaller
difference means anything. Beside the peer: ours divided by the peer's within each round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.result import Row, machine

ROUNDS = 3
Rows = Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Span:
    """What one figure did over all rounds."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Span:
        return cls(median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:5.2f} ({self.least:.2f} to {self.greatest:.2f})"


@dataclass(frozen=True, slots=True)
class RowComparison:
    """One row of both checkouts. Ratios above 1: the new one is better."""

    name: str
    unit: str
    old: float
    new: float
    ours: Span
    peer_name: str
    peer: Span
    beside_peer: Span


def comparisons(rounds: Sequence[tuple[Rows, Rows]]) -> Iterator[RowComparison]:
    """Compare the rows with a peer that the old and the new checkout of each round have in common."""
    shared = [name for name in rounds[0][1] if all(name in rows for pair in rounds for rows in pair)]
    for name in shared:
        pairs = [(old[name], new[name]) for old, new in rounds]
        first = pairs[0][1]
        more_is_better = first.unit.endswith("/s")
        ours = [_ratio(old.ours, new.ours, more_is_better) for old, new in pairs]
        peers = [_ratio(old.peer, new.peer, more_is_better) for old, new in pairs if old.peer and new.peer]
        if len(peers) < len(pairs):
            continue
        yield RowComparison(
            name,
            first.unit,
            median(old.ours for old, _ in pairs),
            median(new.ours for _, new in pairs),
            Span.of(ours),
            first.peer_name,
            Span.of(peers),
            Span.of([mine / other for mine, other in zip(ours, peers, strict=True)]),
        )


def _ratio(old: float, new: float, more_is_better: bool) -> float:
    return new / old if more_is_better else old / new


def rows_of(report: Mapping[str, Any]) -> Rows:
    """Return the rows of a report as bench/result.py writes it."""
    return {row["name"]: Row(**row) for row in report["rows"]}


def measure(checkout: Path, name: str) -> Rows:
    """Run one benchmark of a checkout. Raises SystemExit: it failed; its own message is above."""
    python = checkout / ".venv" / "bin" / "python"
    ran = subprocess.run([python, "-m", "bench", name], cwd=checkout, stdout=subprocess.DEVNULL, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"bench compare: {name} of {checkout} ended with status {ran.returncode}")
    return rows_of(json.loads((checkout / "build" / "bench" / f"{name}.json").read_text()))


def compare(name: str, old: Path, new: Path, rounds: int) -> list[RowComparison]:
    pairs = []
    for number in range(rounds):
        order = (old, new) if number % 2 == 0 else (new, old)
        found = {checkout: measure(checkout, name) for checkout in order}
        pairs.append((found[old], found[new]))
    return list(comparisons(pairs))


def table(found: Sequence[RowComparison]) -> Iterator[str]:
    width = max(len(row.name) for row in found)
    peer = f"ratio of {found[0].peer_name}"
    yield f"{'':{width}}  {'old':>10}  {'new':>10}  {'':9}  {'ratio of ours':<21}  {peer:<25}  ours beside the peer"
    for row in found:
        yield (
            f"{row.name:{width}}  {row.old:10,.4g}  {row.new:10,.4g}  {row.unit:9}  "
            f"{row.ours!s:<21}  {row.peer!s:<25}  {row.beside_peer}"
        )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench compare", description="Compare two checkouts by turns.")
    parser.add_argument("old", type=Path, help="a checkout in which `make setup` has run")
    parser.add_argument("new", type=Path, help="another one")
    parser.add_argument("names", nargs="+", choices=["cni", "fib"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    old, new = given.old.resolve(), given.new.resolve()
    if old == new:
        parser.error("OLD and NEW are the same checkout")
    print(f"old {old}\nnew {new}\n{machine()}, {given.rounds} rounds; ratio above 1: new is better")
    for name in given.names:
        print("", *table(compare(name, old, new, max(1, given.rounds))), sep="\n", flush=True)
