"""How one process tells the others that something was committed: a file beside the database, touched after COMMIT.

Watchers wait for it by inotify. Events on the database's own files would come before a commit is visible, so a change
that stays alone would be seen with the next one only. A bell that nobody hears, or that the writer died before
ringing, costs a delay: who listens also looks for himself from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from inotify_simple import INotify, flags

log = logging.getLogger(__name__)


class ChangeNotifier:
    """The bell of one store in this process: rung from any thread, heard on the loop."""

    def __init__(self, path: Path | None) -> None:
        """`path` is the file to touch; without one the bell is heard in this process only."""
        self._path = path
        self._inotify: INotify | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Event] = set()

    @property
    def works(self) -> bool:
        """Whether listeners are woken at all, or have to look for themselves more often."""
        return self._path is None or self._inotify is not None

    def notify(self) -> None:
        """Wake the listeners of every process. It never fails: at worst they wake by themselves, later."""
        if self._path is None:
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop ended, and with it whoever listened
                    self._loop.call_soon_threadsafe(self.wake)
            return
        try:
            os.utime(self._path)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                self._path.touch()
        except OSError as error:
            log.debug("notify %s: %s; watchers see the change within a second", self._path, error)

    def wake(self) -> None:
        """Wake the listeners of this process. To be called on the loop."""
        for listener in self._listeners:
            listener.set()

    @contextlib.contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """Give an event that is set at each ring from now on."""
        if not self._listeners:
            self._open()
        heard = asyncio.Event()
        self._listeners.add(heard)
        try:
            yield heard
        finally:
            self._listeners.discard(heard)
            if not self._listeners:
                self._close()

    def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._path is None:
            return
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            log.warning("listen to %s: no inotify (%s); changes are looked for ten times a second", self._path, error)
            return
        try:
            # The folder, not the file: a bell that was removed, or is yet to be made, is heard all the same.
            self._inotify.add_watch(self._path.parent, flags.ATTRIB | flags.CREATE | flags.MOVED_TO)
        except OSError as error:
            log.warning("listen to %s: %s; changes are looked for ten times a second", self._path, error)
            self._inotify.close()
            self._inotify = None
            return
        self._loop.add_reader(self._inotify.fileno(), self._on_inotify)

    def _on_inotify(self) -> None:
        assert self._inotify is not None and self._path is not None
        events = self._inotify.read(timeout=0)
        if any(event.name == self._path.name or event.mask & flags.Q_OVERFLOW for event in events):
            self.wake()

    def _close(self) -> None:
        if self._inotify is not None and self._loop is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
        self._inotify = self._loop = None
