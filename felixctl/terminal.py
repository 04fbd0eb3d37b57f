"""What a command prints: with colour on a terminal, as plain text elsewhere."""

from __future__ import annotations

import os
import sys
from enum import StrEnum


class Colour(StrEnum):
    """The colours of a state: as it should be, doubtful, broken."""

    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "31"


def is_terminal() -> bool:
    """Whether the standard output is a terminal that shows colour, and NO_COLOR is not set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def show(text: str) -> None:
    """Print text that ends its own lines."""
    sys.stdout.write(text)


def warn(text: str) -> None:
    """Print text that ends its own lines to the standard error."""
    sys.stderr.write(text)


def painted(text: str, colour: Colour | None) -> str:
    """Return the text in a colour on a terminal, unchanged elsewhere."""
    return f"\033[{colour}m{text}\033[0m" if colour and is_terminal() else text
