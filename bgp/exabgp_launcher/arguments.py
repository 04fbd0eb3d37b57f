"""What the launcher is started with. Pure.

Only a sidecar of the same version starts it (protocol_version.py), and argparse takes 0.3 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

WITH_NUMBERS = ("--protocol", "--commands", "--events")
SWITCHES = ("--compare", "--validate")


class Arguments(NamedTuple):
    """commands, events: the descriptors that ExaBGP reads commands from, and writes answers and events to; -1: none.

    compare: whether it decodes also what the sidecar decodes. validate: whether it only reads the configuration.
    """

    configuration: str
    commands: int
    events: int
    compare: bool
    validate: bool


def arguments(words: Sequence[str]) -> Arguments:
    """Raises ValueError: not what a launcher is started with."""
    rest = list(words)
    for name in WITH_NUMBERS:
        if name in rest:
            at = rest.index(name)
            del rest[at : at + 2]
    others = [word for word in rest if word not in SWITCHES]
    if len(others) != 1 or others[0].startswith("-"):
        raise ValueError(
            f"start ExaBGP with {' '.join(words)}: no configuration, or more than that; nothing is started"
        )
    return Arguments(
        others[0],
        number(words, "--commands", -1),
        number(words, "--events", -1),
        "--compare" in rest,
        "--validate" in rest,
    )


def number(words: Sequence[str], name: str, missing: T) -> int | T:
    """Return the number behind a name, or what is meant if the name is not there. Raises ValueError: there is none."""
    if name not in words:
        return missing
    behind = words[words.index(name) + 1 :]
    if not behind or not behind[0].isdecimal():
        raise ValueError(f"start ExaBGP with {' '.join(words)}: no number follows {name}; nothing is started")
    return int(behind[0])
