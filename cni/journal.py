"""What DELs still owe the datastore, kept on disk while it is away.

A DEL succeeds although the datastore does not answer; what it could not release is written here, synced, and
carried out when the datastore is back, or at the next start. One line of JSON each: appended to add, the file
replaced by rename to take out. It knows neither datastore nor kernel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from cni.protocol import Attachment, Pod


class PendingRelease(NamedTuple):
    """One attachment whose addresses and endpoint are to be released."""

    attachment: Attachment
    pod: Pod


class Journal:
    """The file and, read from it once, what it holds. One process writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._owed: dict[PendingRelease, None] = dict.fromkeys(_read(path))

    @property
    def owed(self) -> tuple[PendingRelease, ...]:
        """Everything not yet carried out, oldest first."""
        return tuple(self._owed)

    def of(self, container_id: str) -> tuple[PendingRelease, ...]:
        return tuple(owed for owed in self._owed if owed.attachment.container_id == container_id)

    def add(self, owed: PendingRelease) -> None:
        """Keep `owed` before this returns, whatever happens next. Raises OSError: the disk refused, nothing is kept."""
        if owed in self._owed:
            return
        new = not self._path.exists()
        with open(self._path, "ab") as file:
            # A line that a crash cut short must not swallow this one.
            file.write(b"\n" + _line(owed))
            file.flush()
            os.fsync(file.fileno())
        if new:
            _sync(self._path.parent)
        self._owed[owed] = None

    def settle(self, done: Collection[PendingRelease]) -> None:
        """Take out what has been carried out."""
        left = [owed for owed in self._owed if owed not in done]
        if len(left) == len(self._owed):
            return
        temporary = self._path.with_suffix(".new")
        with open(temporary, "wb") as file:
            file.writelines(map(_line, left))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._path)
        _sync(self._path.parent)
        self._owed = dict.fromkeys(left)


def _line(owed: PendingRelease) -> bytes:
    return json.dumps([*owed.attachment, *owed.pod]).encode() + b"\n"


def _read(path: Path) -> list[PendingRelease]:
    """Read what is whole; a line cut short by a crash was never promised to anybody."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            network, container_id, device, namespace, pod, uid = json.loads(line)
        except ValueError:
            continue
        found.append(PendingRelease(Attachment(network, container_id, device), Pod(namespace, pod, uid)))
    return found


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
