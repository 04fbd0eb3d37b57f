"""What becomes of a path: heard from the kernel, and looked at now and then, as it cannot tell everything.

Edge. Where it tells nothing at all, as where inotify's instances are used up or a folder may not be read, the path is
looked at more often. A path that is not there is waited for in the nearest folder above it that is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from kernel.inotify import ATTRIB, CLOSE_WRITE, CREATE, DELETE_SELF, MOVE_SELF, MOVED_TO, Inotify, Listening

log = logging.getLogger("kernel.path_watch")

LOOK_SECONDS = 5.0
"""How often a path is looked at of which nothing is heard."""
REST_SECONDS = 60.0
"""How often one is of which everything is heard, but for a file system that is mounted over it."""

_ITSELF = ATTRIB | CLOSE_WRITE | DELETE_SELF | MOVE_SELF  # ATTRIB: of a socket that somebody has open, its removal
_FOLDER = DELETE_SELF | MOVE_SELF
_APPEARS = CREATE | MOVED_TO


class PathChanges:
    """What became of one path since somebody listens: of what was so before they have to look for themselves."""

    def __init__(self) -> None:
        self._some = asyncio.Event()
        self.heard_of = True
        """Whether everything is heard of it."""

    def note(self) -> None:
        self._some.set()

    async def wait(self) -> None:
        """Return when something may have changed, or it is time for a look."""
        seconds = REST_SECONDS if self.heard_of else LOOK_SECONDS
        now = asyncio.get_running_loop().time()
        with suppress(TimeoutError):  # at round times, so that all who look wake the process up once
            async with asyncio.timeout(seconds - now % seconds):
                await self._some.wait()


class PathWatch(AbstractContextManager["PathWatch"]):
    """Listens for all who keep an eye on paths in one process."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._complaints: set[str] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    @contextmanager
    def listening(self, path: Path) -> Iterator[PathChanges]:
        """Listen for what becomes of a path from now on."""
        changes, listeners = PathChanges(), list[Listening]()
        try:
            try:
                inotify = self._inotify = self._inotify or Inotify()
                self._listen(inotify, path, listeners, changes.note)
            except OSError as error:
                changes.heard_of = False
                self._complain(str(error), path)
            yield changes
        finally:
            for listener in listeners:
                if self._inotify is not None:
                    self._inotify.leave(listener)

    @staticmethod
    def _listen(inotify: Inotify, path: Path, listeners: list[Listening], call: Callable[[], None]) -> None:
        """Listen to a path and all folders above it, and where it is not there, for its coming. Raises OSError.

        listeners: to which those that are made are added.
        """

        def is_there(place: Path, events: int) -> bool:
            try:
                listeners.append(inotify.listen(place, events, call))
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

        # Of a symbolic link the kernel watches what it leads to: that it leads elsewhere is heard of its folder.
        of_folder = _FOLDER | _APPEARS if path.is_symlink() else _FOLDER
        any(is_there(folder, of_folder) for folder in path.parents)
        if not is_there(path, _ITSELF):
            any(is_there(folder, _FOLDER | _APPEARS) for folder in path.parents)
            is_there(path, _ITSELF)  # it may have come meanwhile
        for folder in path.parents[1:]:  # last: one that may not be read keeps nothing of this from being heard
            is_there(folder, _FOLDER)

    def _complain(self, complaint: str, path: Path) -> None:
        if complaint not in self._complaints:
            self._complaints.add(complaint)
            log.warning(
                "listen to what becomes of %s: %s; it is looked at each %g s instead", path, complaint, LOOK_SECONDS
            )
