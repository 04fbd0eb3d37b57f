"""DELs that the shim noted on disk while no agent listened, taken up before the agent takes requests.

One file each, as the shim would have sent it; `note` in shim.c writes them. A runtime that takes a pod for gone may use
its container's id again, so none may be left for later than the start: what the datastore is to be told is in the
journal then, which an ADD of that container carries out first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cni.attachment import describe
from cni.errors import CniError
from cni.journal import PendingRelease
from cni.request import CniRequest, parse
from cni.shim_message import unpack_request
from kernel.kept_paths import keep
from kernel.path_watch import PathWatch

log = logging.getLogger("cni.notes")

FOLDER = "deletes"
"""Within the agent's state folder."""
SHIM_SECONDS = 120
"""Longer than any shim lives: a file that it did not finish by then stays as it is."""


class NotedDelHandler(Protocol):
    """Takes noted DELs up: cni.verbs.Verbs."""

    async def take_up(self, request: CniRequest, releases: list[PendingRelease]) -> None: ...
    def journal(self, releases: Sequence[PendingRelease]) -> None: ...


class Notes:
    """The folder of the notes. It is there as long as an agent is installed: without it the shim notes nothing."""

    def __init__(self, state_dir: Path) -> None:
        """Make the folder. Raises OSError."""
        self._folder = state_dir / FOLDER
        self._make()

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def keep(self, watch: PathWatch) -> None:
        """Make the folder anew wherever somebody removes it, until cancelled."""
        await keep(watch, self._folder, self._make_anew, "as without it a DEL fails while the agent is away")

    async def _make_anew(self) -> None:
        self._make()

    async def take_up(self, verbs: NotedDelHandler) -> None:
        """Take all up, oldest first; what fails is logged, and tried again at the next start.

        An agent that was away for long finds many, as a kubelet tries each pod again and again, and pods that are to be
        attached wait meanwhile: so nothing is asked of the datastore, and the journal is written once. Raises OSError,
        after the last: notes that were taken up stay, and would be once more, when their containers' ids may be in use
        again.
        """
        releases, taken_up = list[PendingRelease](), dict[Path, CniRequest]()
        for path, request in self._requests():
            try:
                await verbs.take_up(request, releases)
            except Exception as error:
                log.error("DEL noted in %s: %s; tried again when the agent starts", path, error)
            else:
                taken_up[path] = request
        if not releases:
            return
        try:
            verbs.journal(releases)
        except CniError as error:
            log.error("DELs noted in %s: %s; they are tried again when the agent starts", self._folder, error)
            return
        for request in taken_up.values():
            log.info("DEL %s: taken up from its note", describe(request.attachment, request.pod))
        if kept := _not_removed(taken_up):
            raise OSError(f"remove the notes of DELs that were taken up: {'; '.join(map(str, kept))}")

    def _requests(self) -> Iterator[tuple[Path, CniRequest]]:
        """Yield the notes, oldest first. One that its shim takes back is left to that shim, which asks us by now."""
        for path in sorted(self._folder.iterdir(), key=_written_ns):
            if path.name.startswith(".") and time.time_ns() - _written_ns(path) < SHIM_SECONDS * 10**9:
                continue  # its shim is writing it
            try:
                request = _read(path)
                if request is None:
                    path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.error(
                    "%s: %s; if it is the note of a DEL, what it is about is found by the leak collector", path, error
                )
            else:
                if request is not None:
                    yield path, request


def _written_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _not_removed(paths: Iterable[Path]) -> list[OSError]:
    """Remove notes; return why those are still there that are."""
    kept = []
    for path in paths:
        try:
            path.unlink(missing_ok=True)  # the shim that wrote it may have taken it back
        except OSError as error:
            kept.append(error)
    return kept


def _read(path: Path) -> CniRequest | None:
    """Return the request of a note; None if there is none, as in a file that its shim could not finish.

    Raises OSError: it cannot be read.
    """
    if path.name.startswith("."):
        return None
    try:
        request = parse(*unpack_request(path.read_bytes()))
    except CniError as error:
        log.error("DEL noted in %s: %s; it is dropped", path, error)
        return None
    if request.verb != "DEL":
        log.error("%s is the note of a %s; it is dropped", path, request.verb)
        return None
    return request
