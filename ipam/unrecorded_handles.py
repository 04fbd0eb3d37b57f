"""Handles without a record, as one list of all has shown, so that who releases many need not read each.

Pure. It holds for one round of releases: a list says nothing of what is written later. This process tells what it
writes; what a server still carries out for a client that has gone shows neither in a list nor in a read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from ipam.names import handle_name


class UnrecordedHandles:
    def __init__(self) -> None:
        self._asked: set[str] = set()
        self._unrecorded: set[str] = set()

    @contextmanager
    def among(self, handles: Iterable[str]) -> Iterator[None]:
        """Take in what a list shows of these handles, while this lasts. It is to be asked for after this has begun."""
        self._asked = {*handles}
        try:
            yield
        finally:
            self._asked.clear()
            self._unrecorded.clear()

    def listed(self, names: Collection[str]) -> None:
        """Take in the names of all records that there are."""
        self._unrecorded = {handle for handle in self._asked if handle_name(handle) not in names}

    def writes(self, handle: str) -> None:
        """Take in that this process is about to write a handle's record."""
        self._asked.discard(handle)
        self._unrecorded.discard(handle)

    def take(self, handle: str) -> bool:
        """Whether a handle is known to have no record; once: who asks again reads it."""
        if handle not in self._unrecorded:
            return False
        self._unrecorded.remove(handle)
        return True
