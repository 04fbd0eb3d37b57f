"""Does anything grow that must stay as it is? What was seen in the middle of a run beside what was seen at its end.

Pure. A start is no measure: caches fill and files get their size. What is held at the quietest moment of each part is
compared, so that a request under way is not taken for growth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

FULL_SECONDS = 3600.0
LEAST_PODS, LEAST_ADDRESSES = 100_000, 1_000_000
"""How many ADDs and DELs, and how many operations of IPAM, a run of FULL_SECONDS is to have."""

LEAST_LOOKS = 5
MIDDLE, END = (0.4, 0.6), (0.8, 1.0)
"""Of how many looks which are compared, as shares of all."""


class Slack(NamedTuple):
    """What counts as no growth: a share of what there was, and what is too little to say anything."""

    share: float
    least: float


SLACK: Mapping[str, Slack] = {
    "memory of the agent, MiB": Slack(0.05, 4),
    "descriptors of the agent": Slack(0.0, 4),
    "SQLite file, KiB": Slack(0.1, 2048),  # the names of the last 10,000 changes among it
    "write-ahead log of SQLite, KiB": Slack(0.1, 128 << 10),  # begun anew at 16 MiB, at 128 where that is dear
    "log of the agent, KiB": Slack(0.0, 16),  # some warnings of a busy machine; a line for each call is more in seconds
}


@dataclass(frozen=True, slots=True)
class Growth:
    """One thing over a run."""

    name: str
    middle: float
    end: float

    @property
    def grew(self) -> bool:
        share, least = SLACK[self.name]
        return self.end > self.middle + max(share * self.middle, least)

    def __str__(self) -> str:
        return f"{'✗' if self.grew else '✓'} {self.name}: {self.middle:,.1f} in the middle, {self.end:,.1f} at the end"


@dataclass(frozen=True, slots=True)
class Run:
    """A run's record. samples: one look each, by the names of SLACK.

    left: what belongs to no pod any more, a sentence each. failed: what a program could not do.
    """

    seconds: float
    pods: int
    addresses: int
    crashes: int
    samples: tuple[Mapping[str, float], ...] = ()
    left: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether it took so long that it is to have seen as much as an hour is to see."""
        return self.seconds >= FULL_SECONDS


def growth(run: Run) -> list[Growth]:
    """Return what each thing did; nothing where there are too few looks to say it."""
    if len(run.samples) < LEAST_LOOKS:
        return []
    return [Growth(name, _least(run, name, MIDDLE), _least(run, name, END)) for name in SLACK]


def _least(run: Run, name: str, part: tuple[float, float]) -> float:
    first, last = (round(len(run.samples) * share) for share in part)
    return min(sample[name] for sample in run.samples[first:last])


def failures(run: Run, grown: Sequence[Growth]) -> Iterator[str]:
    """Yield what a run must not have, a sentence each."""
    yield from (f"grows: {each.name}" for each in grown if each.grew)
    yield from (f"left behind: {text}" for text in run.left)
    yield from run.failed
    if len(run.samples) < LEAST_LOOKS:
        yield f"too short to see growth: {len(run.samples)} looks, of {LEAST_LOOKS} at least"
    least_pods, least_addresses = (LEAST_PODS, LEAST_ADDRESSES) if run.is_full else (1, 1)
    took = f"in {run.seconds / 60:g} min"
    if run.pods < least_pods:
        yield f"too few pods: {run.pods:,} ADDs and DELs {took}, of {least_pods:,} at least"
    if run.addresses < least_addresses:
        yield f"too few addresses: {run.addresses:,} operations of IPAM {took}, of {least_addresses:,} at least"
    if not run.crashes:
        yield "nothing was killed"
