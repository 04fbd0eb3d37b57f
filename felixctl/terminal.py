"""Where a command's answer goes: colour for a person at a terminal, plain text for everybody else."""

from __future__ import annotations

import os
import sys
from enum import StrEnum


class Colour(StrEnum):
    """The few colours that mean something: well, look here, broken."""

    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "31"


def for_a_person() -> bool:
    """Whether somebody reads along: a terminal that shows colour, and nobody asked for none (NO_COLOR)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def show(text: str) -> None:
    """Print text that ends its own lines."""
    sys.stdout.write(text)


def painted(text: str, colour: Colour | None) -> str:
    """Return the text in a colour if a person reads it; the letters are the same for a script."""
    return f"\033[{colour}m{text}\033[0m" if colour and for_a_person() else text
