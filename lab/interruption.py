"""How a run ends that is not to go on: by Ctrl-C, or by the signal with which a job is cancelled."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit status of a command that was interrupted, as shells have it."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Have SIGTERM end what runs within as Ctrl-C does, by KeyboardInterrupt, so that what it has started ends too.

    A second signal changes nothing: what has begun to end goes on with that. For the main thread alone.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
