"""What `felixctl why` prints: steps, a verdict, and what to do about the first step that is broken, or in doubt.

It makes pieces of text and records, and prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import asdict

from explain.step import Command, Step, StepState, Verdict
from felixctl.terminal import Colour, painted
from net.printable import one_line

CommandLine = Callable[[Command], str]
"""Return a command as it is typed on the machine where felixctl runs."""

_MARKS = {
    StepState.OK: ("✓", Colour.GOOD),
    StepState.DOUBTFUL: ("!", Colour.DOUBTFUL),
    StepState.BROKEN: ("✗", Colour.BAD),
    StepState.UNSEEN: ("?", None),
}


def step_record(step: Step, command_line: CommandLine) -> dict[str, Any]:
    """Return a step for programs."""
    inspect, repair = (command and command_line(command) for command in (step.inspect, step.repair))
    return {**asdict(step), "inspect": inspect, "repair": repair}


def explained(
    titles: Mapping[str, str], steps: Sequence[Step], judged: Verdict, command_line: CommandLine
) -> Iterator[str]:
    """Yield the steps for people, below the title of their direction, and the verdict with its commands."""
    width = max((len(one_line(step.where)) for step in steps), default=0)
    for direction, title in titles.items():
        part = [step for step in steps if step.direction == direction]
        if part:
            yield one_line(title) + "\n"
            for step in part:
                yield from _line(step, width)
    mark, colour = _MARKS[_state(judged)]
    yield "\n"
    yield painted(one_line(f"{mark} {judged.sentence}"), colour)
    yield "\n"
    if shown := judged.first or judged.doubt:
        yield from _commands(shown, command_line)


def _state(judged: Verdict) -> StepState:
    if not judged.reachable:
        return StepState.BROKEN
    return StepState.DOUBTFUL if judged.doubt else StepState.OK


def _line(step: Step, width: int) -> Iterator[str]:
    mark, colour = _MARKS[step.state]
    yield "  "
    yield painted(mark, colour)
    yield f" {one_line(step.where).ljust(width)}  {one_line(step.text)}\n"


def _commands(step: Step, command_line: CommandLine) -> Iterator[str]:
    if step.inspect:
        yield one_line(f"  see it:    {command_line(step.inspect)}") + "\n"
    if step.repair:
        yield one_line(f"  repair it: {command_line(step.repair)}") + "\n"
