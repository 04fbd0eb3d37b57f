"""What a command prints: with colour on a terminal, as plain text elsewhere.

All that is printed passes here, and whatever is not a piece that `painted` made is escaped, on a terminal and
elsewhere: names, reasons and labels come from others, and no text of theirs may command a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from net.printable import escaped

if TYPE_CHECKING:
    from rich.console import Console


class Colour(StrEnum):
    """The colours of a state: as it should be, doubtful, broken."""

    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "31"


class Painted(str):
    """A piece of text in a colour. Joined to another text it is plain text again."""

    __slots__ = ("colour",)
    colour: Colour

    @classmethod
    def of(cls, text: str, colour: Colour) -> Painted:
        piece = cls(text)
        piece.colour = colour
        return piece


def is_terminal() -> bool:
    """Whether the standard output is a terminal that shows colour, and NO_COLOR is not set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def shows_progress() -> bool:
    """Whether the standard error is a terminal: a line that changes is of no use elsewhere."""
    return sys.stderr.isatty()


def prepare() -> None:
    """Let a character that the output's encoding lacks be escaped, where it would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def show(*pieces: str) -> None:
    """Print pieces of text that end their own lines."""
    sys.stdout.write(shown(pieces))


def flush() -> None:
    """Write out what was shown. Raises BrokenPipeError: nobody reads it any more."""
    sys.stdout.flush()


def mute() -> None:
    """Show nothing more, not even what waits to be written: nobody reads it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(text: str) -> None:
    """Print text that ends its own lines to the standard error."""
    sys.stderr.write(escaped(text))
    sys.stderr.flush()


def fail(sentence: str) -> None:
    """Print why a command failed. Further lines of a sentence are indented, so that they are seen to belong to it."""
    warn("felixctl: " + "\n  ".join(sentence.rstrip("\n").split("\n")) + "\n")


def painted(text: str, colour: Colour | None) -> str:
    """Return a piece for `show`, in a colour where there are colours."""
    return Painted.of(text, colour) if colour else text


def shown(pieces: Iterable[str]) -> str:
    """Return what is printed of pieces of text."""
    in_colour = is_terminal()
    return "".join(
        f"\033[{piece.colour}m{escaped(piece)}\033[0m" if in_colour and isinstance(piece, Painted) else escaped(piece)
        for piece in pieces
    )


def console(*, stderr: bool = False, **options: Any) -> Console:
    """Return a console of rich's that escapes every text which it lays out."""
    from rich.console import Console
    from rich.segment import Segment

    class EscapingConsole(Console):
        def render(self, *arguments: Any, **more: Any) -> Iterable[Segment]:
            for segment in super().render(*arguments, **more):
                yield segment if segment.control else segment._replace(text=escaped(segment.text))

    return EscapingConsole(stderr=stderr, **options)
