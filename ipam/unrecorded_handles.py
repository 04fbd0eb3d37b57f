"""Handles without a record, as one list of all has shown, so that who releases many need not read each.

Pure. It holds for one round of releases: a list says nothing of what is written later. This process tells what it
writes; what a server still carries out for a client that has gone shows neither in a list nor in a read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from ipam.names import handle_name


class UnrecordedHandles:
    """What the rounds that are under way have found."""

    def __init__(self) -> None:
        self._rounds: list[_Round] = []

    @contextmanager
    def among(self, handles: Iterable[str]) -> Iterator[Callable[[Collection[str]], None]]:
        """Begin a round: yield what takes the names of all records that there are, asked for after this has begun.

        It is about these handles, and what it found is forgotten in the end.
        """
        found = _Round(handles)
        self._rounds.append(found)
        try:
            yield found.listed
        finally:
            self._rounds.remove(found)

    def writes(self, handle: str) -> None:
        """Take in that this process is about to write a handle's record."""
        for found in self._rounds:
            found.asked.discard(handle)
            found.unrecorded.discard(handle)

    def take(self, handle: str) -> bool:
        """Whether a handle is known to have no record; once: who asks again reads it."""
        for found in self._rounds:
            if handle in found.unrecorded:
                found.unrecorded.remove(handle)
                return True
        return False


class _Round:
    def __init__(self, handles: Iterable[str]) -> None:
        self.asked = {*handles}
        self.unrecorded: set[str] = set()

    def listed(self, names: Collection[str]) -> None:
        self.unrecorded = {handle for handle in self.asked if handle_name(handle) not in names}
