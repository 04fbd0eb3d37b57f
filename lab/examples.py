"""The labs that come with the project."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from lab.paths import TREE
from lab.spec import LabSpec, about, parse


class Example(Struct, frozen=True):
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
