"""The only door to the ExaBGP process: its configuration, its pipes, its life.

Decides nothing about routes. Lines go in by `send`, one batch at a time; what comes out is parsed by bgp/wire.py
and handed on by `events`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bgp.speaker import Speaker
from bgp.wire import Event


class ExaBGPError(Exception):
    """ExaBGP is not running, died under a batch, or does not accept its configuration."""


class ExaBGP:
    """One ExaBGP process in the current network namespace, started again when it dies.

    Use as `async with ExaBGP(state_dir) as exabgp`; nothing runs before the first `reload`.
    """

    def __init__(self, state_dir: Path, *, stock: bool = False) -> None: ...

    async def __aenter__(self) -> ExaBGP: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def events(self) -> AsyncIterator[Event]:
        """Yield what the peers said, and Restarted and Stopped. One consumer; the queue behind it is not bounded,
        so that a slow consumer never makes ExaBGP wait."""
        ...

    async def send(self, lines: Sequence[str]) -> list[bool]:
        """Write a batch of commands (wire.announce, …) and return ExaBGP's answer to each, True for `done`.

        One batch is in flight at a time; others wait their turn. Raises ExaBGPError: no process runs, it ended, or it
        was killed because answers were missing after 5 s; announce everything again after the next Restarted.
        """
        ...

    async def reload(self, speaker: Speaker) -> None:
        """Make ExaBGP's sessions those of `speaker`; starts it the first time. Unchanged sessions do not flap.

        Raises ExaBGPError, a sentence: the configuration is refused; what ran before runs on.
        """
        ...
