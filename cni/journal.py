"""Releases that are to be carried out later, written to disk: when the datastore is back, or once more after a time.

A DEL succeeds although the datastore does not answer; what it could not release is written here, synced, and
carried out when the datastore is back, or at the next start. One JSON line each: appended to add, the file replaced by
rename to remove. It knows neither datastore nor kernel.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from cni.attachment import Attachment, PodRef
from cni.files import replace, sync_folder

log = logging.getLogger("cni.journal")


class PendingRelease(NamedTuple):
    """One attachment whose addresses and endpoint are to be released."""

    attachment: Attachment
    pod: PodRef


class Journal:
    """The file, and its contents as read at the start. One process writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._pending: dict[PendingRelease, None] = dict.fromkeys(_read(path))

    @property
    def pending(self) -> tuple[PendingRelease, ...]:
        """Every release in it, oldest first."""
        return tuple(self._pending)

    def pending_of(self, container_id: str) -> tuple[PendingRelease, ...]:
        return tuple(one for one in self._pending if one.attachment.container_id == container_id)

    def add(self, *releases: PendingRelease) -> None:
        """Write releases to disk, together, before this returns. Raises OSError: the disk refused; none is added."""
        new = [one for one in releases if one not in self._pending]
        if not new:
            return
        is_first = not self._path.exists()
        with open(self._path, "ab") as file:
            # A line that a crash cut short must not swallow the next.
            file.write(b"\n" + b"".join(map(_line, new)))
            file.flush()
            os.fsync(file.fileno())
        if is_first:
            sync_folder(self._path.parent)
        self._pending.update(dict.fromkeys(new))

    def remove(self, done: Collection[PendingRelease]) -> None:
        """Take out what has been carried out. Raises OSError: the disk refused; everything stays in the journal."""
        left = [one for one in self._pending if one not in done]
        if len(left) == len(self._pending):
            return
        replace(self._path, b"".join(map(_line, left)), 0o644)
        self._pending = dict.fromkeys(left)


def _line(pending: PendingRelease) -> bytes:
    return json.dumps([*pending.attachment, *pending.pod]).encode() + b"\n"


def _read(path: Path) -> list[PendingRelease]:
    """Read the lines that are whole. One that a crash cut short was never acknowledged; any other is logged."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            names = json.loads(line)
        except (ValueError, RecursionError):
            continue
        match names:
            case [str(network), str(container), str(device), str(namespace), str(pod), str(uid)]:
                found.append(PendingRelease(Attachment(network, container, device), PodRef(namespace, pod, uid)))
            case _:
                log.error("%s: a line that is no release is passed over: %.200s", path, line.decode(errors="replace"))
    return found
