"""inotify: what becomes of files and folders, told by the kernel to whoever listens.

Edge. One instance serves all who listen in a process: a user may have 128, and each program of the host needs some.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ATTRIB, CLOSE_WRITE, MOVED_TO, CREATE, DELETE_SELF, MOVE_SELF = 0x4, 0x8, 0x80, 0x100, 0x400, 0x800
_UNMOUNT, _Q_OVERFLOW, _IGNORED, _MASK_ADD = 0x2000, 0x4000, 0x8000, 0x20000000
_HEAD = struct.Struct("iIII")
_READ_BYTES = 65536

_libc = ctypes.CDLL(None, use_errno=True)  # Python 3.11 has no inotify


class Listening(NamedTuple):
    """Who listens: at which place, by the number of the kernel's watch, for which events, and what is called then."""

    watch: int
    events: int
    call: Callable[[], None]


class Inotify:
    """One instance, read on the running loop until it is closed."""

    def __init__(self) -> None:
        """Raises OSError: there are too many instances."""
        self._loop = asyncio.get_running_loop()
        self._descriptor = _done(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._listeners: dict[int, list[Listening]] = {}
        self._loop.add_reader(self._descriptor, self._read)

    def listen(self, place: Path, events: int, call: Callable[[], None]) -> Listening:
        """Have `call` called after each of these events at a place, and when it is gone, until `leave`.

        Raises OSError: there is no such place, it may not be read, or too many are listened to.
        """
        watch = _done(_libc.inotify_add_watch(self._descriptor, os.fsencode(place), events | _MASK_ADD))
        listener = Listening(watch, events | _UNMOUNT | _IGNORED, call)
        self._listeners.setdefault(watch, []).append(listener)
        return listener

    def leave(self, listener: Listening) -> None:
        others = self._listeners.get(listener.watch)
        if others is not None:
            others.remove(listener)
            if not others:
                del self._listeners[listener.watch]
                _libc.inotify_rm_watch(self._descriptor, listener.watch)  # refused where the kernel has just done it

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        try:
            events = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        at, heard = 0, list[Listening]()
        while at < len(events):
            watch, mask, _, name_bytes = _HEAD.unpack_from(events, at)
            at += _HEAD.size + name_bytes
            if mask & _Q_OVERFLOW:
                heard += chain.from_iterable(self._listeners.values())
            else:
                heard += (one for one in self._listeners.get(watch, ()) if one.events & mask)
            if mask & _IGNORED:  # the place is gone, and the kernel listens there no more
                self._listeners.pop(watch, None)
        for call in dict.fromkeys(listener.call for listener in heard):
            call()


def _done(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
