"""Numbers of files that are written otherwise than they are printed: `1.10`, `0o17`, `1e3`, `+5`.

Pure. Who should have put one in quotes is told the text that was written, as the number's own would be another.
"""

from __future__ import annotations


class WrittenInt(int):
    """A whole number that knows its text."""

    text: str


class WrittenFloat(float):
    """A number with a fraction or an exponent that knows its text."""

    text: str


def whole(number: int, text: str) -> int:
    """Return the number, with its text if it is printed otherwise."""
    if str(number) == text:
        return number
    written = WrittenInt(number)
    written.text = text
    return written


def fractional(number: float, text: str) -> float:
    """Return the number, with its text if it is printed otherwise."""
    if str(number) == text:
        return number
    written = WrittenFloat(number)
    written.text = text
    return written


def as_written(number: float) -> str:
    """Return the text that stood in the file for a number."""
    return number.text if isinstance(number, WrittenInt | WrittenFloat) else str(number)


def plain(number: WrittenInt | WrittenFloat) -> int | float:
    """Return the number alone, as a field takes it."""
    return int(number) if isinstance(number, WrittenInt) else float(number)
