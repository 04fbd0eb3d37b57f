"""What is to be said of a node in Events, from what is wrong now and what was said before.

Pure: no I/O, no clock, no logging. Of each sort of problem those that are new at one look are said together. What is
said again is the same Event, counted once more, and nothing is said more often than there is room for: what waits is
still wrong at the next look, or over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from datastore.kinds.event import LONGEST_MESSAGE
from felix_py.status.problems import NodeProblem, Trouble

REPEAT_SECONDS = 1800.0
"""What lasts is said again after so long: the API server forgets Events after an hour."""
KEPT_SECONDS = 3600.0
MOST_A_MINUTE, MINUTE = 4, 60.0
_ROOM = LONGEST_MESSAGE - 80  # for how many more there are

Key = tuple[str, tuple[str, ...]]
"""A reason, and the subjects that it is said of."""

_OVER = {trouble.reason: trouble.over for trouble in Trouble}
_REASONS = {*_OVER, *_OVER.values()}


class Moment(NamedTuple):
    """A time, in seconds: since 1970, which may jump, and of a clock that does not."""

    since_1970: float
    steady: float


class Told(Struct, frozen=True):
    """An Event: why, of which subjects and in which words it was written, how often, and when last, since 1970.

    lasts: it is of a problem that is not over. uid: of the Node that it is about.
    """

    reason: str
    subjects: tuple[str, ...]
    note: str
    uid: str
    count: int = 0
    at: float = 0.0
    lasts: bool = False

    @property
    def key(self) -> Key:
        return self.reason, self.subjects

    @property
    def mark(self) -> str:
        """What tells its Event from the others about the Node, in 16 hexadecimal digits; the same after a restart."""
        return hashlib.sha256(repr((self.uid, self.key)).encode()).hexdigest()[:16]


class DueEvent(Struct, frozen=True):
    """An Event that is to be written. told: what will have been said then. ends: the one that it ends."""

    told: Told
    ends: Key | None = None

    @property
    def kind(self) -> Literal["Normal", "Warning"]:
        return "Warning" if self.ends is None else "Normal"


class Memory(Struct, frozen=True):
    """What was said. since: from when on the steady clock each problem was there, by sort and subject."""

    told: Mapping[Key, Told] = field(default_factory=dict)
    since: Mapping[tuple[Trouble, str], float] = field(default_factory=dict)

    def seen(self, problems: Iterable[NodeProblem], unknown: Collection[Trouble], uid: str, now: Moment) -> Memory:
        """Return the memory with what is there now, and without what is forgotten or about an earlier Node."""
        there = {(one.trouble, one.subject) for one in problems}
        there |= {key for key in self.since if key[0] in unknown}
        told = {
            key: one
            for key, one in self.told.items()
            if one.uid == uid and one.reason in _REASONS and (one.lasts or abs(now.since_1970 - one.at) < KEPT_SECONDS)
        }
        return Memory(told, {key: self.since.get(key, now.steady) for key in there})

    def after(self, message: DueEvent) -> Memory:
        """Return the memory when a message has been said."""
        told = dict(self.told)
        if message.ends in told:
            told[message.ends] = replace(told[message.ends], lasts=False)
        told[message.told.key] = message.told
        return Memory(told, self.since)


def messages(
    memory: Memory, problems: Iterable[NodeProblem], unknown: Collection[Trouble], uid: str, now: Moment
) -> Iterator[DueEvent]:
    """Yield what is to be said, the most urgent first: what is new, what is over, what lasts.

    memory: has seen these problems. unknown: sorts of which nobody knows whether there are any.
    """
    standing = [one for one in memory.told.values() if one.lasts]
    there = {(trouble.reason, subject) for trouble, subject in memory.since}
    hidden = {trouble.reason for trouble in unknown}

    def say(reason: str, subjects: tuple[str, ...], note: str, ends: Key | None = None) -> DueEvent:
        before = memory.told.get((reason, subjects))
        count = before.count + 1 if before else 1
        return DueEvent(Told(reason, subjects, note, uid, count, now.since_1970, lasts=ends is None), ends)

    for reason, subjects, note in _new(memory, problems, standing, now):
        yield say(reason, subjects, note)
    lasting = []
    for one in standing:
        if one.reason in hidden or any((one.reason, subject) in there for subject in one.subjects):
            lasting.append(one)
        else:
            yield say(_OVER[one.reason], one.subjects, _cut(f"over: {one.note}"), ends=one.key)
    for one in lasting:
        if abs(now.since_1970 - one.at) >= REPEAT_SECONDS and one.reason != Trouble.NOTICE.reason:
            yield say(one.reason, one.subjects, one.note)


def room(written: Iterable[float], now: Moment) -> int:
    """Return how many Events may be written at present. written: when others were, on the steady clock."""
    return MOST_A_MINUTE - sum(now.steady - at < MINUTE for at in written)


def _new(
    memory: Memory, problems: Iterable[NodeProblem], standing: Iterable[Told], now: Moment
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield reason, subjects and words of what has lasted long enough and was not said, one for each sort."""
    said = {(one.reason, subject) for one in standing for subject in one.subjects}
    fresh = [
        one
        for one in problems
        if (one.trouble.reason, one.subject) not in said
        and now.steady - memory.since[one.trouble, one.subject] >= one.trouble.least_seconds
    ]
    fresh.sort(key=lambda one: (one.trouble.reason, one.subject))
    for reason, group in groupby(fresh, key=lambda one: one.trouble.reason):
        found = list(group)
        yield reason, tuple(one.subject for one in found), _together([one.text for one in found])


def _together(texts: list[str]) -> str:
    """Return as many of these texts as an Event takes, and how many more there are."""
    shown, whole = _cut(texts[0], _ROOM), 1
    for text in texts[1:]:
        if len(f"{shown}; {text}".encode()) > _ROOM:
            break
        shown, whole = f"{shown}; {text}", whole + 1
    more = len(texts) - whole
    return f"{shown}; and {more} more, which `felixctl node status` shows" if more else shown


def _cut(text: str, room: int = LONGEST_MESSAGE) -> str:
    """Return a text with at most so many bytes."""
    if len(text.encode()) <= room:
        return text
    return text.encode()[: room - len("…".encode())].decode(errors="ignore") + "…"
