"""The answer as values: facts judged one by one, and what the first broken one means.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct


class StepState(StrEnum):
    """What a step is: as it should be, working but worth a look, broken, or not visible from here."""

    OK = "ok"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"
    UNSEEN = "unseen"


class Command(Struct, frozen=True):
    """A command line, and the node or pod to run it in; "" is wherever felixctl reaches the datastore."""

    place: str
    line: str


class Step(Struct, frozen=True):
    """One fact on the way of a packet.

    direction: "records", "there" or "back". where: a node, a pod, or two of them. about: a word that scripts can rely
    on. partly: what is broken concerns some packets only. inspect: the command that shows it. repair: the one that
    repairs it, where that is safe to run at once.
    """

    direction: str
    where: str
    about: str
    state: StepState
    text: str
    effect: str = ""
    inspect: Command | None = None
    repair: Command | None = None
    partly: bool = False


class Verdict(Struct, frozen=True):
    """reachable: nothing that could be seen is broken. first: the step that decides it. doubt: the first in doubt."""

    reachable: bool
    sentence: str
    first: Step | None = None
    doubt: Step | None = None


def verdict(between: str, steps: Sequence[Step]) -> Verdict:
    """Return what the first broken step means; one that stops all packets counts before one that stops some.

    Where none is broken, those in doubt and those out of sight are named. between: the names of the two ends.
    """
    broken = sorted((step for step in steps if step.state is StepState.BROKEN), key=lambda step: step.partly)
    if broken:
        first = broken[0]
        effect = f"; {first.effect}" if first.effect else ""
        return Verdict(False, f"{first.where}: {first.text}{effect}", first)
    doubts = [step for step in steps if step.state is StepState.DOUBTFUL]
    unseen = sorted({step.where for step in steps if step.state is StepState.UNSEEN})
    if not doubts and not unseen:
        return Verdict(True, f"nothing between {between} is broken, in either direction")
    sentence = f"nothing that can be seen between {between} is broken"
    if doubts:
        sentence += f"; in doubt: {', '.join(dict.fromkeys(f'{step.where} ({step.about})' for step in doubts))}"
    if unseen:
        sentence += f"; out of sight: {', '.join(unseen)}"
    return Verdict(True, sentence, doubt=doubts[0] if doubts else None)
