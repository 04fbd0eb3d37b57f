"""The figures of a run of the long tests, for build/kube.json. A figure of a test that was not run is null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.state_model import PingCount
from tests.runtimes.machine import TREE

PLACE = TREE / "build" / "kube.json"
NAMES = (
    "nodes",
    "pods",
    "ready_seconds",
    "connectivity",
    "rolling_restart",
    "upgrade",
    "churn",
    "absence",
    "ipam_problems",
    "blocks_after_drain",
    "leftovers",
)


class Figures:
    """What the tests of one run have measured so far; each figure is written as soon as it is known.

    The first one takes the place of all that earlier runs wrote.
    """

    def __init__(self, place: Path = PLACE) -> None:
        self._place = place
        self._known: dict[str, Any] = dict.fromkeys(NAMES)

    @property
    def has_any(self) -> bool:
        return any(figure is not None for figure in self._known.values())

    def note(self, **figures: Any) -> None:
        assert set(figures) <= set(NAMES), figures
        self._known.update(figures)
        self._place.parent.mkdir(exist_ok=True)
        self._place.write_text(json.dumps(self._known) + "\n")

    def note_absence(self, name: str, seconds: Mapping[str, float]) -> None:
        """seconds: after how many, since an absence was over, each thing was as it should be."""
        rounded = {what: round(passed, 1) for what, passed in seconds.items()}
        self.note(absence={**(self._known["absence"] or {}), name: rounded})

    def note_pings(self, name: str, count: PingCount) -> None:
        self.note(**{name: {"sent": count.sent, "lost": count.lost}})
