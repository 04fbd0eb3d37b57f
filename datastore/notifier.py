"""How a process wakes the watchers of all others after a commit: it touches a file beside the database.

Watchers wait for that by inotify. Events on the database's own files would come before a commit is visible, so a change
that no other follows would be noticed only with the next one. A notification that is not delivered, or that the writer
died before sending, costs a delay: watchers also poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import inotify_simple
from inotify_simple import Event, INotify, flags

# The C library that is in this process anyway. To find it, the first INotify would run `ldconfig -p` and wait for it.
inotify_simple._libc = ctypes.CDLL(None, use_errno=True)

log = logging.getLogger(__name__)


class ChangeNotifier:
    """The notifications of one store in this process: sent from any thread, received on the loop."""

    def __init__(self, path: Path | None, database: Path | None = None) -> None:
        """`path` is the file to touch; without one, notifications stay in this process.

        database: a file in the same folder. That another is moved into its place wakes listeners, too.
        """
        self._path, self._database = path, database
        self._inotify: INotify | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Event] = set()

    @property
    def works(self) -> bool:
        """Whether notifications are received; else watchers have to poll more often."""
        return self._path is None or self._inotify is not None

    def notify(self) -> None:
        """Wake the listeners of every process. It never fails: at worst they notice the change by polling."""
        if self._path is None:
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop has ended, and its listeners with it
                    self._loop.call_soon_threadsafe(self.wake)
            return
        try:
            os.utime(self._path)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                self._path.touch(mode=0o600)
        except OSError as error:
            log.debug("touch %s: %s; watchers notice the change within a second", self._path, error)

    def wake(self) -> None:
        """Wake the listeners of this process. To be called on the loop."""
        for listener in self._listeners:
            listener.set()

    @contextlib.contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each notification from now on."""
        if not self._listeners:
            self._open()
        notified = asyncio.Event()
        self._listeners.add(notified)
        try:
            yield notified
        finally:
            self._listeners.discard(notified)
            if not self._listeners:
                self._close()

    def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._path is None:
            return
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            log.warning("watch %s: no inotify (%s); changes are polled for ten times a second", self._path, error)
            return
        try:
            # The folder, not the file, so that a file that was removed, or is yet to be made, is noticed all the same.
            self._inotify.add_watch(self._path.parent, flags.ATTRIB | flags.CREATE | flags.MOVED_TO)
        except OSError as error:
            log.warning("watch %s: %s; changes are polled for ten times a second", self._path, error)
            self._inotify.close()
            self._inotify = None
            return
        self._loop.add_reader(self._inotify.fileno(), self._on_inotify)

    def _on_inotify(self) -> None:
        assert self._inotify is not None and self._path is not None
        if any(map(self._concerns, self._inotify.read(timeout=0))):
            self.wake()

    def _concerns(self, event: Event) -> bool:
        assert self._path is not None
        replaced = self._database is not None and event.name == self._database.name and event.mask & flags.MOVED_TO
        return bool(replaced or event.name == self._path.name or event.mask & flags.Q_OVERFLOW)

    def _close(self) -> None:
        if self._inotify is not None and self._loop is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
        self._inotify = self._loop = None
