"""Records that a real Calico wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "fixtures" / "calico"


def calico(file: str) -> list[dict[str, Any]]:
    """Return the items of a list, as plain records."""
    items: list[dict[str, Any]] = yaml.safe_load((FOLDER / file).read_text())["items"]
    return items
