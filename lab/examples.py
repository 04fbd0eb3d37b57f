"""The labs that come with the project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.paths import TREE
from lab.spec import LabSpec, about, parse


@dataclass(frozen=True, slots=True)
class Example:
    """One file of examples/: its name as `felixctl lab run` takes it in the tree, what it holds, what it shows."""

    file: str
    spec: LabSpec
    shows: str


def examples() -> list[Example]:
    """Return them by name. Raises SpecError."""
    return [_example(path) for path in sorted((TREE / "examples").glob("*.yaml"))]


def _example(path: Path) -> Example:
    text = path.read_text()
    return Example(str(path.relative_to(TREE)), parse(text), about(text))
