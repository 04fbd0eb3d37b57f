"""What a lab's processes write for the one that started them: JSON lines of progress, then a report or a failure.

An edge: it writes on standard output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

OnProgress = Callable[[str, int, int], None]
"""Is called with what is being done, how much of it is there, and how much there will be."""


def emit(message: Mapping[str, Any]) -> None:
    try:
        print(json.dumps(message), flush=True)
    except BrokenPipeError:  # the process that asked for the lab has its report and is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def emit_progress(what: str, done: int, wanted: int) -> None:
    emit({"progress": what, "done": done, "wanted": wanted})
