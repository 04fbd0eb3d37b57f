"""How far a command has come, on a terminal and where it takes long: a line that changes, from its third second on.

The line is rich's, whose import alone takes longer than most commands: it is imported when the line is first shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from felixctl.terminal import console, shows_progress
from net.printable import one_line

if TYPE_CHECKING:
    from rich.status import Status

T = TypeVar("T")

QUIET_SECONDS = 2.0

Tell = Callable[[str], None]
"""Takes what is being done by now: it may be called for each of many things."""


def untold(_: str) -> None:
    """Tell nobody."""


@contextmanager
def late_progress(clock: Callable[[], float] = time.monotonic) -> Iterator[Tell]:
    """Show what is told on a terminal, from when this has lasted for QUIET_SECONDS; elsewhere nothing."""
    if not shows_progress():
        yield untold
        return
    began = clock()
    with ExitStack() as stack:
        line: Status | None = None

        def tell(what: str) -> None:
            nonlocal line
            if line is None and clock() - began >= QUIET_SECONDS:
                line = stack.enter_context(console(stderr=True).status("", refresh_per_second=2))
            if line is not None:
                from rich.text import Text

                line.update(Text(one_line(what)))  # the name of a file may look like rich's markup

        yield tell


def counted(things: Iterable[T], tell: Tell, done: str, of: int | None = None) -> Iterator[T]:
    """Yield things, and tell of each hundredth how many there were before. done: what is done with them."""
    wanted = "" if of is None else f" of {of:,}"
    for number, thing in enumerate(things):
        if number % 100 == 0:
            tell(f"{number:,}{wanted} {done}")
        yield thing
