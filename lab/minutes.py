"""For how long a command line has something go on."""

from __future__ import annotations

from argparse import ArgumentTypeError

MOST = 24 * 60


def minutes(text: str) -> float:
    """Return how many minutes are asked for. Raises ArgumentTypeError: it is no time, or more than a day."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= MOST:  # nor is it, where it is no number
        raise ArgumentTypeError(f"{text!r} is no number of minutes: more than 0, and {MOST} at most")
    return found
