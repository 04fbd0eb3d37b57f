"""`felixctl`: the command line.

Exit status: 0 done; 1 it could not be done, or a check found something wrong; 2 the command was misused.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from felixctl.command_line import understood
from felixctl.direct import direct_command
from felixctl.errors import CommandError
from felixctl.host_settings import take
from felixctl.lean_imports import expect_pydantic
from felixctl.terminal import fail, flush, prepare

YOUNG_OBJECTS = 100_000
"""How many objects are made between two searches for cycles: most are a command's result, and none is garbage."""


def main() -> None:
    """Run one command and end with its status."""
    gc.set_threshold(YOUNG_OBJECTS)
    prepare()
    take(os.environ)
    try:
        words = understood(sys.argv[1:])
        if run := direct_command(words, os.environ):
            end_at_once(run())
        expect_pydantic()
        from felixctl.app import app  # imported late: with typer it takes as long as a short command

        app(args=words, prog_name="felixctl")
    except CommandError as error:
        for sentence in error.told():
            fail(sentence)
        sys.exit(error.status)


def end_at_once(status: int) -> NoReturn:
    """End the process without giving back one by one what it holds, which would take up to a quarter of its time."""
    flush()
    os._exit(status)


if __name__ == "__main__":
    main()
